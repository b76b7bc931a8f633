/* What the files of the SDK know of each other. */

#ifndef MS_INTERNAL_H
#define MS_INTERNAL_H

#include "millstream.h"
#include "ms_imports.h"
#include "ms_memory.h"

/* Bits of a batch's column of nulls. In what is forwarded the last two say that the key, or the value, is that of the row, and
 * takes no bytes; see wit/context.wit. */
enum { MS_NULL_KEY = 1, MS_NULL_VALUE = 2, MS_KEY_OF_ROW = 4, MS_VALUE_OF_ROW = 8 };

/* The row of what is done in a punctuation. */
#define MS_NO_ROW UINT32_MAX

/* The child that stands for all. */
#define MS_ALL_CHILDREN UINT32_MAX

static inline uint32_t ms_number_at(const void *column, size_t index) {
    uint32_t number;
    memcpy(&number, (const char *)column + index * sizeof number, sizeof number);
    return number;
}

static inline void ms_push(ms_buffer *buffer, const void *data, size_t length) {
    char *end = ms_buffer_grow(buffer, length);
    if (length > 0) {
        memcpy(end, data, length);
    }
}

static inline void ms_push_number(ms_buffer *buffer, uint32_t number) { ms_push(buffer, &number, sizeof number); }

/* === What is forwarded (ms_output.c) === */

/* Records for one target, in the order in which they were forwarded; laid out as in wit/types.wit. */
typedef struct ms_segment {
    uint32_t child;
    size_t length;
    ms_buffer keys, key_ends, values, value_ends, timestamps, nulls, headers;
    /* For each record the row it descends from; empty in a punctuation. */
    ms_buffer rows;
} ms_segment;

/* What a call has forwarded so far. */
typedef struct ms_output {
    /* The first `used` are filled; the memory of the others waits for them. */
    ms_segment *segments;
    size_t used, count;
    /* The one that was filled last. */
    size_t last;
    /* Whether the order between children must be kept: when there is one record, or none. With many records nobody can see
     * it (wit/context.wit), so the records for each child are collected by themselves. */
    bool sequenced;
    /* The call's batch as the host gave it; without records outside of one. */
    ms_batch input;
} ms_output;

void ms_output_push(ms_output *output, uint32_t child, const ms_record *record, uint32_t row);
/* Removes the records that descend from the last row. */
void ms_output_take_back(ms_output *output, uint32_t row);
void ms_output_clear(ms_output *output);
void ms_output_hand_over(ms_output *output);
/* Hands everything to the host if it has become much; between two records. */
void ms_output_hand_over_when_large(ms_output *output);
void ms_output_free(ms_output *output);

/* === Stores (ms_store.c, ms_cache.c) === */

/* What is known of a key's value. */
typedef enum ms_known { MS_KNOWN_NOTHING, MS_KNOWN_ABSENT, MS_KNOWN_PRESENT } ms_known;

typedef struct ms_state {
    ms_bytes value;
    int64_t timestamp;
    ms_known known;
    /* Whether it differs from the host's, or may. */
    bool is_dirty;
} ms_state;

typedef struct ms_cache_entry {
    ms_bytes key;
    uint32_t hash;
    uint32_t slot;
    bool is_wanted;
    ms_state state;
} ms_cache_entry;

/* What the current record replaced. */
typedef struct ms_replaced {
    uint32_t entry;
    ms_state state;
} ms_replaced;

/* What a call has read and written of a store.
 *
 * Invariants: an entry that is dirty differs from the host's (or may); one that is clean and known equals it. The journal
 * holds what the current record replaced, oldest first, so that undoing it backwards gives the state before the record. */
typedef struct ms_cache {
    uint32_t handle;
    /* Open addressing: the index of an entry plus one, or 0. Its size is a power of two. */
    uint32_t *table;
    size_t table_size;
    ms_buffer entries;
    /* Keys, and values that were written. */
    ms_arena bytes;
    /* Indices of entries that are to be read, and of those that are or were dirty. */
    ms_buffer wanted, dirty;
    ms_buffer journal;
    /* Memory for what goes to the host. */
    ms_buffer keys, key_ends, values, value_ends, nulls, timestamps;
} ms_cache;

void ms_cache_begin_record(ms_cache *cache);
const ms_state *ms_cache_get(ms_cache *cache, ms_bytes key);
void ms_cache_put(ms_cache *cache, ms_bytes key, ms_bytes value, int64_t timestamp);
/* Notes that a key is to be read by ms_cache_read_wanted, if it is not known. */
void ms_cache_want(ms_cache *cache, ms_bytes key);
void ms_cache_read_wanted(ms_cache *cache);
/* Gives all writes to the host. The current record may go on, and may still be taken back. */
void ms_cache_write_back(ms_cache *cache);
/* Undoes what the current record wrote. */
void ms_cache_take_back(ms_cache *cache);
/* Ends a call: writes go to the host, and what was read is forgotten, because others may change it. */
void ms_cache_end(ms_cache *cache);
void ms_cache_free(ms_cache *cache);

struct ms_store {
    ms_context *context;
    const char *name;
    ms_cache cache;
    bool reads_ahead;
    /* NULL for the records' own keys. */
    ms_choose_keys choose;
    ms_store *next;
};

void ms_store_begin_batch(ms_store *store, ms_batch *batch);
/* Closes the cursors that are still open. */
void ms_close_cursors(ms_context *context);

/* === The context (ms_context.c) === */

/* A punctuation and what it calls. */
typedef struct ms_scheduled {
    uint32_t id;
    ms_punctuator punctuator;
    void *argument;
} ms_scheduled;

/* A record that was not processed, by the canonical ABI. */
typedef struct ms_failure {
    uint32_t row;
    uint8_t reaction;
    ms_list_ reason;
} ms_failure;

struct ms_context {
    ms_output output;
    ms_store *stores;
    ms_cursor *cursors;
    /* The timestamp that stores write by default: that of the record, or of the punctuation. */
    int64_t timestamp;
    /* The row of the record that is processed; MS_NO_ROW outside of a batch. */
    uint32_t row;
    ms_buffer punctuators;
    ms_buffer failures;
    /* Memory that lives as long as the record that is processed, and as long as the processor. */
    ms_arena scratch, setup;
    /* The reason of the last failure, and where reasons live until the host has read them. */
    const char *reason;
    ms_arena reasons;
};

ms_status ms_open(ms_context *context, const char *name, ms_store **store);
void ms_begin_batch(ms_context *context, ms_batch *batch);
void ms_begin_punctuation(ms_context *context, int64_t timestamp);
void ms_take_back_punctuation(ms_context *context);
/* Hands everything to the host. */
void ms_end_call(ms_context *context);
const ms_scheduled *ms_find_scheduled(ms_context *context, uint32_t id);
/* The case of `reaction` in wit/processor.wit. */
uint8_t ms_reaction_of(ms_status status);

/* === Running (ms_run.c) === */

/* A processor that has begun. */
typedef struct ms_running {
    const ms_processor *processor;
    void *state;
    ms_context context;
} ms_running;

ms_status ms_running_begin(ms_running *running, const ms_processor *processor, ms_setup *setup);
void ms_running_process(ms_running *running, ms_batch *batch);
ms_status ms_running_punctuate(ms_running *running, uint32_t id, int64_t timestamp);
void ms_running_close(ms_running *running);
/* Frees what it has; for tests. */
void ms_running_free(ms_running *running);
ms_batch ms_batch_of(const ms_columns_ *columns);
/* The record at a row, without timestamp and headers. */
ms_record ms_batch_key_and_value(const ms_batch *batch, size_t row);

/* === Tests (millstream_test.c) === */

struct ms_test;

/* How many bytes of keys and values the last batch copied to the host. */
size_t ms_test_copied_bytes(const struct ms_test *test);

#endif
