/* The imports of the contract (wit/), by the canonical ABI: a list is a pointer and a length, an answer of several values is
 * written to where the last argument points. In native tests millstream_test.c stands in for the host. */

#ifndef MS_IMPORTS_H
#define MS_IMPORTS_H

#include "millstream.h"

#ifdef __wasm__
#define MS_IMPORT(interface, name) \
    __attribute__((import_module("millstream:processor/" interface "@0.1.0"), import_name(name)))
#else
#define MS_IMPORT(interface, name)
#endif

/* Whether it is the host that asks for memory (`cabi_realloc`), for what it hands over: the arguments of an export before
 * that runs, or the answer of an import below. That memory is taken back when the call returns. At any other time it is the
 * adapter of WASI that asks, in the middle of the C library, and it keeps what it gets for ever. */
extern bool ms_host_hands_over;

/* Calls an import that answers with lists, or may. */
#define MS_HANDED_OVER(call)        \
    do {                            \
        ms_host_hands_over = true;  \
        (call);                     \
        ms_host_hands_over = false; \
    } while (0)

/* Values in columns, as in wit/state.wit. */
typedef struct ms_values_columns {
    ms_list_ values, value_ends, nulls, timestamps;
} ms_values_columns;

/* Entries in columns, as in wit/state.wit. */
typedef struct ms_entries_columns {
    ms_list_ keys, key_ends, values, value_ends, nulls, timestamps;
} ms_entries_columns;

/* option<stored> */
typedef struct ms_stored_answer {
    uint8_t is_some;
    struct {
        ms_list_ value;
        int64_t timestamp;
    } stored;
} ms_stored_answer;

/* option<u32> */
typedef struct ms_child_answer {
    uint8_t is_some;
    uint32_t index;
} ms_child_answer;

/* result<u32, string> */
typedef struct ms_schedule_answer {
    uint8_t is_error;
    union {
        uint32_t id;
        ms_list_ reason;
    } of;
} ms_schedule_answer;

/* result<key-value-store, error> */
typedef struct ms_open_answer {
    uint8_t is_error;
    union {
        uint32_t store;
        struct {
            /* 0 no-such-store, 1 not-granted, 2 other. */
            uint8_t number;
            ms_list_ reason;
        } error;
    } of;
} ms_open_answer;

/* option<record-metadata> */
typedef struct ms_metadata_answer {
    uint8_t is_some;
    struct {
        ms_list_ topic;
        int32_t partition;
        int64_t offset;
    } metadata;
} ms_metadata_answer;

/* The arguments of forward-to: more than the ABI passes one by one. */
typedef struct ms_forward_to_arguments {
    uint32_t child;
    ms_columns_ batch;
    ms_list_ rows;
} ms_forward_to_arguments;

MS_IMPORT("context", "forward")
void ms_import_forward(const void *keys, size_t keys_length, const void *key_ends, size_t key_ends_length,
                       const void *values, size_t values_length, const void *value_ends, size_t value_ends_length,
                       const void *timestamps, size_t timestamps_length, const void *nulls, size_t nulls_length,
                       const void *headers, size_t headers_length, const void *rows, size_t rows_length);
MS_IMPORT("context", "forward-to") void ms_import_forward_to(const ms_forward_to_arguments *arguments);
MS_IMPORT("context", "child") void ms_import_child(const void *name, size_t name_length, ms_child_answer *answer);
MS_IMPORT("context", "schedule") void ms_import_schedule(uint64_t interval_ms, uint32_t type, ms_schedule_answer *answer);
MS_IMPORT("context", "schedule-at")
void ms_import_schedule_at(int64_t start, uint64_t interval_ms, uint32_t type, ms_schedule_answer *answer);
MS_IMPORT("context", "cancel") void ms_import_cancel(uint32_t id);
MS_IMPORT("context", "stream-time") int64_t ms_import_stream_time(uint32_t row);
MS_IMPORT("context", "wall-clock-time") int64_t ms_import_wall_clock_time(void);
MS_IMPORT("context", "metadata") void ms_import_metadata(uint32_t row, ms_metadata_answer *answer);
MS_IMPORT("context", "commit") void ms_import_commit(void);

MS_IMPORT("state", "[static]key-value-store.open")
void ms_import_open(const void *name, size_t name_length, ms_open_answer *answer);
MS_IMPORT("state", "[method]key-value-store.get")
void ms_import_get(uint32_t store, const void *key, size_t key_length, ms_stored_answer *answer);
MS_IMPORT("state", "[method]key-value-store.get-many")
void ms_import_get_many(uint32_t store, const void *keys, size_t keys_length, const void *key_ends, size_t key_ends_length,
                        ms_values_columns *answer);
MS_IMPORT("state", "[method]key-value-store.put-many")
void ms_import_put_many(uint32_t store, const void *keys, size_t keys_length, const void *key_ends, size_t key_ends_length,
                        const void *values, size_t values_length, const void *value_ends, size_t value_ends_length,
                        const void *nulls, size_t nulls_length, const void *timestamps, size_t timestamps_length);
MS_IMPORT("state", "[method]key-value-store.range")
uint32_t ms_import_range(uint32_t store, uint32_t has_lowest, const void *lowest, size_t lowest_length,
                         uint32_t has_highest, const void *highest, size_t highest_length, uint32_t order);
MS_IMPORT("state", "[method]key-value-store.prefix")
uint32_t ms_import_prefix(uint32_t store, const void *prefix, size_t prefix_length, uint32_t order);
MS_IMPORT("state", "[method]key-value-store.approximate-entries") uint64_t ms_import_approximate_entries(uint32_t store);
MS_IMPORT("state", "[method]cursor.next")
void ms_import_cursor_next(uint32_t cursor, uint32_t entries_max, ms_entries_columns *answer);
MS_IMPORT("state", "[resource-drop]cursor") void ms_import_cursor_drop(uint32_t cursor);

MS_IMPORT("log", "log") void ms_import_log(uint32_t level, const void *message, size_t message_length);

#endif
