/* What the two files of the conformance plugin know of each other. */

#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include "millstream.h"

enum { WORDS_MIN = 8, STORES_MAX = 8, PUNCTUATIONS_MAX = 2048 };

/* A punctuation that a command scheduled. */
struct punctuation {
    char *name;
    const char *kind;
    ms_punctuation scheduled;
    struct commands *commands;
};

/* The state of the processor `do`. */
struct commands {
    ms_setup copy; /* its lists live as long as the processor */
    const char *about;
    size_t stores_count;
    ms_store *stores[STORES_MAX];
    size_t punctuations_count;
    struct punctuation *punctuations[PUNCTUATIONS_MAX];
    int64_t remembered;
};

/* A command, split at its spaces; some empty words follow. */
struct words {
    size_t count;
    const char **of;
};

ms_status do_init(void *state, ms_setup *setup);
ms_status do_process(void *state, const ms_record *record, ms_context *context);
void do_close(void *state);

/* Forwards the record with another value. */
void answer(ms_context *context, const ms_record *record, ms_bytes value);

/* The commands on stores. */
ms_status access_store(struct commands *self, struct words words, const ms_record *record, ms_context *context);

/* The store of that name, NULL if the node doesn't have it. */
ms_store *find_store(struct commands *self, const char *name);

/* A number of a command. */
int64_t number_of(const char *word);

static inline bool is(const char *word, const char *other) { return strcmp(word, other) == 0; }

#endif
