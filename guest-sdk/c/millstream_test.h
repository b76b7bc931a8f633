/* Native tests of processors: no Wasm, no broker, a clock that stands still until it is told otherwise.
 *
 *     #include "millstream_test.h"
 *
 *     #include <assert.h>
 *
 *     int main(void) {
 *         ms_test *test = ms_test_new("shout");
 *         ms_test_begin(test);
 *         ms_record record = {.key = ms_string("k"), .value = ms_string("hello")};
 *         assert(ms_test_process(test, &record) == MS_OK);
 *         assert(ms_equal(ms_test_forwarded(test, 0)->record.value, ms_string("hello!")));
 *         ms_test_free(test);
 *     }
 *
 * Compile it with any C compiler, together with the plugin's sources and all of the SDK's:
 *
 *     cc -Isdk shout_test.c shout.c sdk/(all).c -lm -o shout_test && ./shout_test
 *
 * One processor is tested at a time: free it before the next one is made. */

#ifndef MILLSTREAM_TEST_H
#define MILLSTREAM_TEST_H

#include "millstream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A processor under test. */
typedef struct ms_test ms_test;

/* A record that was forwarded. */
typedef struct ms_forwarded {
    /* To which child; NULL means to all. */
    const char *child;
    ms_record record;
} ms_forwarded;

/* The processor of the plugin (MS_PROCESSORS) with that name, without settings and stores, with one child named `child`.
 * Stream time is -1, wall-clock time 0. Ends the program if there is none. */
ms_test *ms_test_new(const char *processor);
void ms_test_free(ms_test *test);

/* What it is given at the beginning: settings, children in place of `child`, empty stores (which keep timestamps). The texts
 * must live as long as the test. */
void ms_test_with_config(ms_test *test, const char *key, const char *value);
void ms_test_with_children(ms_test *test, const char *const *children, size_t count);
void ms_test_with_store(ms_test *test, const char *name);

/* Begins it; see ms_test_reason for why it can't. */
ms_status ms_test_begin(ms_test *test);

/* Gives it one record, or several in one batch, then calls the punctuations that are due. Returns the status of the first
 * record or punctuation that failed. */
ms_status ms_test_process(ms_test *test, const ms_record *record);
ms_status ms_test_process_batch(ms_test *test, const ms_record *records, size_t count);

/* How many records of the last batch failed, and the row of each. */
size_t ms_test_failures(const ms_test *test);
size_t ms_test_failed_row(const ms_test *test, size_t index);

/* Why the last call failed. */
const char *ms_test_reason(const ms_test *test);

/* Lets time pass on the wall clock, then calls the punctuations that are due. */
ms_status ms_test_advance_wall_clock_time(ms_test *test, int64_t milliseconds);

/* Tells it that its task is closed. */
void ms_test_close(ms_test *test);

/* What was forwarded since ms_test_clear_forwarded, in the order of the calls of ms_forward for each child. */
size_t ms_test_forwarded_count(const ms_test *test);
const ms_forwarded *ms_test_forwarded(const ms_test *test, size_t index);
void ms_test_clear_forwarded(ms_test *test);

/* What a store holds for a key, null if nothing; and puts an entry into it. */
ms_bytes ms_test_stored(const ms_test *test, const char *store, ms_bytes key);
void ms_test_put(ms_test *test, const char *store, ms_bytes key, ms_bytes value);

/* How many calls into the host the last batch made; a number to keep small. */
size_t ms_test_host_calls(const ms_test *test);

/* The last line that was logged, as `info: text`; NULL if there is none. */
const char *ms_test_last_logged(const ms_test *test);

/* How often a commit was asked for. */
size_t ms_test_commits_requested(const ms_test *test);

#ifdef __cplusplus
}
#endif

#endif
