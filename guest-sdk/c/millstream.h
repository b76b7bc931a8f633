/* Write Millstream processors in C.
 *
 * A plugin is a table of processors, each with a function that is called for every record:
 *
 *     #include "millstream.h"
 *
 *     static ms_status shout(void *state, const ms_record *record, ms_context *context) {
 *         ms_bytes text;
 *         MS_TRY(ms_value_text(context, record, &text));
 *         ms_record louder = *record;
 *         louder.value = ms_format(context, "%.*s!", (int)text.length, text.data);
 *         ms_forward(context, &louder);
 *         return MS_OK;
 *     }
 *
 *     MS_PROCESSORS({.name = "shout", .process = shout})
 *
 * `millstream build` compiles it with clang and makes a component of it.
 *
 * Records come in batches, in packed columns, and are shown one by one without copying. What is forwarded is collected in
 * columns and crosses to the host once a batch. Stores behave as if every access went to the host at once, but the writes
 * of a batch go back together, and with ms_read_ahead its reads come together.
 *
 * Who owns what: the bytes of a record, and what a store returns, live until the batch is done; what the functions that
 * take a context make (ms_format, ms_int64 ...) lives until the record is done. Copy what is to be kept. Nothing that the
 * SDK returns is freed by the plugin.
 *
 * The same processor runs in a native test, without Wasm: see millstream_test.h.
 */

#ifndef MILLSTREAM_H
#define MILLSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What C and C++ of different years write differently. */
#if defined(__GNUC__)
#define MS_PRINTF_(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define MS_PRINTF_(text, first)
#endif
#if defined(__cplusplus)
#define MS_NORETURN_ [[noreturn]]
#elif defined(__GNUC__)
#define MS_NORETURN_ __attribute__((__noreturn__))
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define MS_NORETURN_ _Noreturn
#else
#define MS_NORETURN_
#endif

/* What a processor can do while it is called: forward, schedule, ask for times and for where a record came from. */
typedef struct ms_context ms_context;

/* === Bytes and records ============================================================================================ */

/* Bytes that somebody else owns. `data` is NULL for null (a record without a key, a tombstone, nothing in a store), which
 * is not the same as empty. */
typedef struct ms_bytes {
    const char *data;
    size_t length;
} ms_bytes;

#ifdef __cplusplus
#define MS_NULL (ms_bytes{NULL, 0})
#else
#define MS_NULL ((ms_bytes){NULL, 0})
#endif

/* The bytes at `data`, `length` of them. */
static inline ms_bytes ms_bytes_of(const void *data, size_t length) {
    ms_bytes bytes = {length == 0 && data == NULL ? "" : (const char *)data, length};
    return bytes;
}

/* The bytes of a C string. */
static inline ms_bytes ms_string(const char *text) { return ms_bytes_of(text, strlen(text)); }

static inline bool ms_is_null(ms_bytes bytes) { return bytes.data == NULL; }

/* Whether two are the same bytes; null equals only null. */
static inline bool ms_equal(ms_bytes a, ms_bytes b) {
    return ms_is_null(a) == ms_is_null(b) && a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* The headers of a record, packed as in wit/types.wit; {MS_NULL} has none. */
typedef struct ms_headers {
    ms_bytes packed;
} ms_headers;

/* A header. A key may occur again; a value may be null. */
typedef struct ms_header {
    ms_bytes key;
    ms_bytes value;
} ms_header;

/* Takes the first header off; false when there is none. Walk over a copy: `ms_headers rest = record->headers;`. */
bool ms_next_header(ms_headers *rest, ms_header *header);

/* Finds the last header with this key; false when there is none. */
bool ms_last_header(ms_headers headers, const char *key, ms_bytes *value);

/* Headers with one more at the end; others with the same key stay. */
ms_headers ms_headers_with(ms_context *context, ms_headers headers, const char *key, ms_bytes value);

/* Headers without those of this key. */
ms_headers ms_headers_without(ms_context *context, ms_headers headers, const char *key);

/* A record. To forward it changed, change a copy: what isn't changed is passed along, timestamp and headers too, as in
 * Kafka Streams. The bytes of one that came in must not be written to, by no cast: the host has them too, and a key or a
 * value that is forwarded as it came is not copied to it. */
typedef struct ms_record {
    ms_bytes key;
    ms_bytes value;
    /* Milliseconds since the epoch; not negative. */
    int64_t timestamp;
    ms_headers headers;
} ms_record;

/* === What goes wrong ============================================================================================== */

/* How a call ended: MS_OK, or what the host is to do about the record. Make the others with the functions below, which
 * note the reason. What the record forwarded and wrote is taken back. */
typedef enum ms_status {
    MS_OK = 0,
    /* Leave the record out, count it, go on. */
    MS_SKIP,
    /* Send the record to the dead-letter topic, go on. */
    MS_DEAD_LETTER,
    /* A dependency is away, the record is good: give it again later. */
    MS_RETRY,
    /* Do what the plugin's policy in the manifest says: stop the task (the default), skip, or dead-letter. */
    MS_FATAL,
} ms_status;

/* Return these from a processor; the reason is written as by printf. */
ms_status ms_skip(ms_context *context, const char *format, ...) MS_PRINTF_(2, 3);
ms_status ms_dead_letter(ms_context *context, const char *format, ...) MS_PRINTF_(2, 3);
ms_status ms_retry(ms_context *context, const char *format, ...) MS_PRINTF_(2, 3);
ms_status ms_fatal(ms_context *context, const char *format, ...) MS_PRINTF_(2, 3);

/* The same reason as the last failure with another status: `return ms_as(context, MS_SKIP);`. */
ms_status ms_as(ms_context *context, ms_status status);

/* The reason of the last failure. */
const char *ms_reason(const ms_context *context);

/* Returns from a function if a call failed. */
#define MS_TRY(call)                       \
    do {                                   \
        ms_status ms_status_ = (call);     \
        if (ms_status_ != MS_OK) {         \
            return ms_status_;             \
        }                                  \
    } while (0)

/* Ends the instance for a bug of the plugin; the text is in the host's log and in the failure that it reports. */
MS_NORETURN_ void ms_panic(const char *format, ...) MS_PRINTF_(1, 2);

/* === Bytes as types =============================================================================================== */

/* See the key or the value as Kafka's serializers write them: UTF-8 text; numbers big-endian. They fail with MS_FATAL and
 * say what they found, null included. */
ms_status ms_key_text(ms_context *context, const ms_record *record, ms_bytes *text);
ms_status ms_key_int32(ms_context *context, const ms_record *record, int32_t *number);
ms_status ms_key_int64(ms_context *context, const ms_record *record, int64_t *number);
ms_status ms_key_float64(ms_context *context, const ms_record *record, double *number);
ms_status ms_value_text(ms_context *context, const ms_record *record, ms_bytes *text);
ms_status ms_value_int32(ms_context *context, const ms_record *record, int32_t *number);
ms_status ms_value_int64(ms_context *context, const ms_record *record, int64_t *number);
ms_status ms_value_float64(ms_context *context, const ms_record *record, double *number);

/* The same for any bytes, what a store returned for example; false when they have another form. */
bool ms_read_text(ms_bytes bytes);
bool ms_read_int32(ms_bytes bytes, int32_t *number);
bool ms_read_int64(ms_bytes bytes, int64_t *number);
bool ms_read_float64(ms_bytes bytes, double *number);

/* Bytes as Kafka's serializers write them. */
ms_bytes ms_int32(ms_context *context, int32_t number);
ms_bytes ms_int64(ms_context *context, int64_t number);
ms_bytes ms_float64(ms_context *context, double number);

/* Text, as by printf. */
ms_bytes ms_format(ms_context *context, const char *format, ...) MS_PRINTF_(2, 3);

/* A copy of bytes, with a NUL behind it; null becomes the empty string. */
const char *ms_c_string(ms_context *context, ms_bytes bytes);

/* Memory for anything, aligned for anything, not cleared. */
void *ms_allocate(ms_context *context, size_t size);

/* === JSON ========================================================================================================= */

/* What a piece of JSON is. */
typedef enum ms_json_type { MS_JSON_NULL, MS_JSON_BOOL, MS_JSON_NUMBER, MS_JSON_STRING, MS_JSON_ARRAY, MS_JSON_OBJECT } ms_json_type;

/* A piece of JSON: a tree, whose elements and members are a list. */
typedef struct ms_json ms_json;
struct ms_json {
    ms_json_type type;
    bool boolean;
    /* A string, decoded; a number, as it was written. */
    ms_bytes text;
    /* An object's member: its name, decoded. */
    ms_bytes name;
    /* An array's first element, an object's first member. */
    ms_json *first;
    /* The next element or member. */
    ms_json *next;
};

/* Reads JSON. Fails with MS_FATAL and says where it ends to be JSON. */
ms_status ms_value_json(ms_context *context, const ms_record *record, ms_json **json);
ms_status ms_key_json(ms_context *context, const ms_record *record, ms_json **json);

/* Reads JSON from any bytes; NULL if it is none. */
ms_json *ms_read_json(ms_context *context, ms_bytes bytes);

/* The member of an object with this name, the last one if it occurs again; NULL if there is none or it is no object. */
ms_json *ms_json_member(const ms_json *object, const char *name);

/* A number as a double or, if it is whole, as an integer; false if it is no number, or none that fits. */
bool ms_json_float64(const ms_json *json, double *number);
bool ms_json_int64(const ms_json *json, int64_t *number);

/* Makes pieces. */
ms_json *ms_json_null(ms_context *context);
ms_json *ms_json_bool(ms_context *context, bool is);
ms_json *ms_json_int(ms_context *context, int64_t number);
ms_json *ms_json_float(ms_context *context, double number);
ms_json *ms_json_string(ms_context *context, ms_bytes text);
ms_json *ms_json_array(ms_context *context);
ms_json *ms_json_object(ms_context *context);

/* Sets a member of an object, in the place of one of this name or at the end. */
void ms_json_set(ms_context *context, ms_json *object, const char *name, ms_json *value);

/* Appends an element to an array. */
void ms_json_append(ms_json *array, ms_json *value);

/* Writes JSON, without spaces. */
ms_bytes ms_write_json(ms_context *context, const ms_json *json);

/* === Forwarding, time, metadata =================================================================================== */

/* A node below a processor; see ms_find_child. */
typedef struct ms_child {
    uint32_t index;
} ms_child;

/* Forwards a record to every child. Children get it after the call; see wit/context.wit. */
void ms_forward(ms_context *context, const ms_record *record);

/* Forwards a record to one child. */
void ms_forward_to(ms_context *context, ms_child child, const ms_record *record);

/* Which time a punctuation follows. */
typedef enum ms_punctuation_type {
    /* The task's stream time: the highest timestamp of its records. It stands still without records. */
    MS_STREAM_TIME,
    /* The time of the machine's clock. */
    MS_WALL_CLOCK_TIME,
} ms_punctuation_type;

/* A punctuation that was scheduled. */
typedef struct ms_punctuation {
    uint32_t id;
} ms_punctuation;

/* Is called when a punctuation is due; `timestamp` is the stream time or wall-clock time now. When it fails, what it
 * forwarded and wrote is taken back. */
typedef ms_status (*ms_punctuator)(void *state, void *argument, int64_t timestamp, ms_context *context);

/* Calls the punctuator, with the processor's state and the argument, every `interval_ms`. By stream time first as soon as
 * the stream time is known, by wall-clock time after one interval; intervals that nobody had time for are skipped. Fails
 * if the interval is less than 1, or if the processor has too many punctuations. `punctuation` may be NULL. */
ms_status ms_schedule(ms_context *context, uint64_t interval_ms, ms_punctuation_type type, ms_punctuator punctuator,
                      void *argument, ms_punctuation *punctuation);

/* The same, first due at `start`, which must not be negative, and then in that rhythm. */
ms_status ms_schedule_at(ms_context *context, int64_t start, uint64_t interval_ms, ms_punctuation_type type,
                         ms_punctuator punctuator, void *argument, ms_punctuation *punctuation);

/* Ends a punctuation; it may be the one that is being called. */
void ms_cancel(ms_context *context, ms_punctuation punctuation);

/* The task's stream time at the record that is processed; -1 before any record. */
int64_t ms_stream_time(ms_context *context);

/* The wall-clock time in milliseconds since the epoch; it stands still during a batch. */
int64_t ms_wall_clock_time(ms_context *context);

/* Where a record came from. */
typedef struct ms_metadata {
    /* Empty in a punctuation. */
    ms_bytes topic;
    /* -1 in a punctuation. */
    int32_t partition;
    /* -1 in a punctuation. */
    int64_t offset;
} ms_metadata;

/* Where the record that is processed came from; false when a processor begins. */
bool ms_get_metadata(ms_context *context, ms_metadata *metadata);

/* Asks for a commit soon. */
void ms_commit(ms_context *context);

/* === Log ========================================================================================================== */

/* How much a line matters. */
typedef enum ms_level { MS_TRACE, MS_DEBUG, MS_INFO, MS_WARN, MS_ERROR } ms_level;

/* Writes a line to the host's log, where it carries the application, the task, the node and the plugin. */
void ms_log(ms_level level, const char *format, ...) MS_PRINTF_(2, 3);

/* === Stores ======================================================================================================= */

/* A key-value store of the task. Reads see every write that this task made before, and what a record wrote is taken back
 * when its processing fails. Keys are ordered by their bytes. */
typedef struct ms_store ms_store;

/* An entry of a store. */
typedef struct ms_entry {
    ms_bytes key;
    /* Null where there is none. */
    ms_bytes value;
    /* The one kept with the value; -1 in a store that keeps none. */
    int64_t timestamp;
} ms_entry;

/* The value of a key; null if there is none. */
ms_bytes ms_store_get(ms_store *store, ms_bytes key);

/* The same, with the value's timestamp; -1 if there is no value or the store keeps none. */
ms_bytes ms_store_get_with_timestamp(ms_store *store, ms_bytes key, int64_t *timestamp);

/* The values of many keys, in their order, read in one call of the host. */
void ms_store_get_many(ms_store *store, const ms_bytes *keys, size_t count, ms_bytes *values);

/* Sets the value of a key, with the timestamp of the record that is processed; null deletes. */
void ms_store_put(ms_store *store, ms_bytes key, ms_bytes value);

/* The same with another timestamp. */
void ms_store_put_at(ms_store *store, ms_bytes key, ms_bytes value, int64_t timestamp);

/* Sets many entries, each with its own timestamp. */
void ms_store_put_many(ms_store *store, const ms_entry *entries, size_t count);

/* Sets the value of a key if there is none; returns what was there. */
ms_bytes ms_store_put_if_absent(ms_store *store, ms_bytes key, ms_bytes value);

/* Removes a key; returns what was there. Putting null is cheaper where that isn't needed: it doesn't read. */
ms_bytes ms_store_delete(ms_store *store, ms_bytes key);

/* About how many entries the store has. Cheap. */
uint64_t ms_store_approximate_entries(ms_store *store);

/* In which direction a walk goes. */
typedef enum ms_order { MS_ASCENDING, MS_DESCENDING } ms_order;

/* A walk over entries. It ends with the call in which it began. Writing meanwhile is allowed; whether the walk meets what
 * was written is not promised. */
typedef struct ms_cursor ms_cursor;

/* The entries from `lowest` to `highest`, both included; null means no bound. */
ms_cursor *ms_store_range(ms_store *store, ms_bytes lowest, ms_bytes highest, ms_order order);

/* The entries whose keys begin with `prefix`, which may be empty. */
ms_cursor *ms_store_prefix(ms_store *store, ms_bytes prefix, ms_order order);

/* Takes the next entry; false at the end, which closes the cursor. */
bool ms_cursor_next(ms_cursor *cursor, ms_entry *entry);

/* Closes a cursor before its end. */
void ms_cursor_close(ms_cursor *cursor);

/* Names the keys that a record is going to read: calls ms_want for each. */
typedef struct ms_wanted ms_wanted;
typedef void (*ms_choose_keys)(const ms_record *record, ms_wanted *wanted);
void ms_want(ms_wanted *wanted, ms_bytes key);

/* Reads the entries of all records' keys at the beginning of each batch, in one call of the host: for a processor that
 * looks up the key of every record. Other keys are read as before. */
void ms_read_ahead(ms_store *store);

/* The same for the keys that `choose` names. */
void ms_read_ahead_of(ms_store *store, ms_choose_keys choose);

/* === Processors =================================================================================================== */

/* A setting that the application gives a node. */
typedef struct ms_setting {
    const char *key;
    const char *value;
} ms_setting;

/* What a processor is told when it begins. */
typedef struct ms_setup {
    /* To schedule punctuations with. */
    ms_context *context;
    /* Which of the plugin's processors this is, the node's name in the topology, and the task: the number of the
     * sub-topology, an underscore, the partition (`0_3`). */
    const char *processor;
    const char *node;
    const char *task;
    /* The settings of the node. */
    const ms_setting *config;
    size_t config_count;
    /* The names of the nodes below this one, in the order in which they were attached. */
    const char *const *children;
    size_t children_count;
    /* The names of the stores that this node may open. */
    const char *const *stores;
    size_t stores_count;
} ms_setup;

/* A setting, NULL if the application doesn't give it. It lives as long as the processor. */
const char *ms_config(const ms_setup *setup, const char *key);

/* A setting that must be there; the reason names it. */
ms_status ms_required_config(const ms_setup *setup, const char *key, const char **value);

/* The node below this one with that name. */
ms_status ms_find_child(const ms_setup *setup, const char *name, ms_child *child);

/* Opens a store of the node: there must be one of that name, and the node must have been granted it. */
ms_status ms_open_store(const ms_setup *setup, const char *name, ms_store **store);

/* A batch of records as it came from the host, in packed columns; see wit/types.wit. */
typedef struct ms_batch {
    ms_bytes keys;
    const uint32_t *key_ends;
    ms_bytes values;
    const uint32_t *value_ends;
    const int64_t *timestamps;
    /* NULL when nothing is null. */
    const uint8_t *nulls;
    ms_bytes headers;
    /* The number of records. */
    size_t length;
    /* Where the headers of `headers_row` are, or the next ones; the SDK's own. */
    size_t headers_row, headers_at;
} ms_batch;

/* The record at a row. */
ms_record ms_batch_record(ms_batch *batch, size_t row);

/* Begin and end the work for the record at a row: what is forwarded and written between the two belongs to that record, and
 * is taken back if the status isn't MS_OK. ms_end_row returns false when the rest of the batch must not be processed. Rows
 * must ascend. */
void ms_begin_row(ms_context *context, const ms_batch *batch, size_t row);
bool ms_end_row(ms_context *context, ms_status status);

/* A processor: a node of a topology that takes records and forwards records. One is made for each task, and again after a
 * failure or when the host replaces the instance: what it keeps in its state is a cache. What must stay belongs in stores. */
typedef struct ms_processor {
    /* The name that manifests call it. */
    const char *name;
    /* The size of its state, which is cleared before `init`; may be 0. */
    size_t state_size;
    /* Reads the settings, opens stores, schedules punctuations; may be NULL. When it fails, the task doesn't start, and the
     * operator is shown the reason. */
    ms_status (*init)(void *state, ms_setup *setup);
    /* Processes one record. */
    ms_status (*process)(void *state, const ms_record *record, ms_context *context);
    /* Processes a batch, instead of `process`, for work that is quicker on many records. The result must be that of one
     * record at a time; put the work for each between ms_begin_row and ms_end_row. */
    void (*process_batch)(void *state, ms_batch *batch, ms_context *context);
    /* The task is about to be closed or given away. Nothing can be forwarded or written any more. May be NULL. */
    void (*close)(void *state);
} ms_processor;

/* Says yes or no of a record, behind the native `filter` and `split`. It has no state. */
typedef struct ms_predicate {
    const char *name;
    ms_status (*test)(const ms_record *record, ms_context *context, bool *is);
} ms_predicate;

/* Chooses a record's key, behind the native `group-by`. It has no state. A record whose key is null is dropped. */
typedef struct ms_key_selector {
    const char *name;
    ms_status (*select)(const ms_record *record, ms_context *context, ms_bytes *key);
} ms_key_selector;

/* Exports what the plugin contains: `MS_PROCESSORS({.name = "count", ...}, {...})`. Each at most once in a plugin. */
#define MS_PROCESSORS(...)                                                                      \
    const ms_processor ms_processors[] = {__VA_ARGS__};                                         \
    const size_t ms_processors_count = sizeof ms_processors / sizeof *ms_processors;            \
    MS_EXPORT_PROCESSORS_
#define MS_PREDICATES(...)                                                                      \
    const ms_predicate ms_predicates[] = {__VA_ARGS__};                                         \
    const size_t ms_predicates_count = sizeof ms_predicates / sizeof *ms_predicates;            \
    MS_EXPORT_PREDICATES_
#define MS_KEY_SELECTORS(...)                                                                   \
    const ms_key_selector ms_key_selectors[] = {__VA_ARGS__};                                   \
    const size_t ms_key_selectors_count = sizeof ms_key_selectors / sizeof *ms_key_selectors;   \
    MS_EXPORT_KEY_SELECTORS_

/* === How the tables become exports of the contract (wit/); not for authors ======================================== */

extern const ms_processor ms_processors[];
extern const size_t ms_processors_count;
extern const ms_predicate ms_predicates[];
extern const size_t ms_predicates_count;
extern const ms_key_selector ms_key_selectors[];
extern const size_t ms_key_selectors_count;

/* A list, by the canonical ABI. */
typedef struct ms_list_ {
    const void *data;
    size_t length;
} ms_list_;

/* The columns of a batch, by the canonical ABI. */
typedef struct ms_columns_ {
    ms_list_ keys, key_ends, values, value_ends, timestamps, nulls, headers;
} ms_columns_;

/* The arguments of `init`, by the canonical ABI. */
typedef struct ms_setup_ {
    ms_list_ processor, node, task, config, children, stores;
} ms_setup_;

void *ms_export_names_(const void *table, size_t size, size_t count);
void *ms_export_init_(const ms_processor *table, size_t count, const ms_setup_ *setup);
void *ms_export_process_(const ms_columns_ *columns);
void *ms_export_punctuate_(uint32_t id, int64_t timestamp);
void ms_export_close_(void);
void *ms_export_test_(const ms_predicate *table, size_t count, ms_list_ function, const ms_columns_ *columns);
void *ms_export_select_(const ms_key_selector *table, size_t count, ms_list_ function, const ms_columns_ *columns);

#ifdef __wasm__
#define MS_EXPORT_(name, function) \
    __attribute__((export_name("millstream:processor/" name), visibility("default"))) function
#define MS_LIST_(name) const void *name, size_t name##_length
#define MS_BATCH_                                                                                                  \
    MS_LIST_(keys), MS_LIST_(key_ends), MS_LIST_(values), MS_LIST_(value_ends), MS_LIST_(timestamps), MS_LIST_(nulls), \
        MS_LIST_(headers)
#define MS_COLUMNS_                                                                                             \
    ms_columns_ columns = {{keys, keys_length},     {key_ends, key_ends_length},     {values, values_length},   \
                           {value_ends, value_ends_length}, {timestamps, timestamps_length}, {nulls, nulls_length}, \
                           {headers, headers_length}}
#define MS_EXPORT_PROCESSORS_                                                                                   \
    MS_EXPORT_("processor@0.1.0#processors", void *ms_wasm_processors_(void)) {                                 \
        return ms_export_names_(ms_processors, sizeof *ms_processors, ms_processors_count);                     \
    }                                                                                                           \
    MS_EXPORT_("processor@0.1.0#init", void *ms_wasm_init_(MS_LIST_(processor), MS_LIST_(node), MS_LIST_(task), \
                                                           MS_LIST_(config), MS_LIST_(children), MS_LIST_(stores))) { \
        ms_setup_ setup = {{processor, processor_length}, {node, node_length},         {task, task_length},     \
                           {config, config_length},       {children, children_length}, {stores, stores_length}}; \
        return ms_export_init_(ms_processors, ms_processors_count, &setup);                                     \
    }                                                                                                           \
    MS_EXPORT_("processor@0.1.0#process", void *ms_wasm_process_(MS_BATCH_)) {                                  \
        MS_COLUMNS_;                                                                                            \
        return ms_export_process_(&columns);                                                                    \
    }                                                                                                           \
    MS_EXPORT_("processor@0.1.0#punctuate", void *ms_wasm_punctuate_(uint32_t id, uint32_t type, int64_t now)) { \
        (void)type;                                                                                             \
        return ms_export_punctuate_(id, now);                                                                   \
    }                                                                                                           \
    MS_EXPORT_("processor@0.1.0#close", void ms_wasm_close_(void)) { ms_export_close_(); }
#define MS_EXPORT_PREDICATES_                                                                                   \
    MS_EXPORT_("predicate@0.1.0#predicates", void *ms_wasm_predicates_(void)) {                                 \
        return ms_export_names_(ms_predicates, sizeof *ms_predicates, ms_predicates_count);                     \
    }                                                                                                           \
    MS_EXPORT_("predicate@0.1.0#test", void *ms_wasm_test_(MS_LIST_(function), MS_BATCH_)) {                    \
        ms_list_ name = {function, function_length};                                                            \
        MS_COLUMNS_;                                                                                            \
        return ms_export_test_(ms_predicates, ms_predicates_count, name, &columns);                             \
    }
#define MS_EXPORT_KEY_SELECTORS_                                                                                \
    MS_EXPORT_("key-selector@0.1.0#key-selectors", void *ms_wasm_key_selectors_(void)) {                        \
        return ms_export_names_(ms_key_selectors, sizeof *ms_key_selectors, ms_key_selectors_count);            \
    }                                                                                                           \
    MS_EXPORT_("key-selector@0.1.0#select-key", void *ms_wasm_select_key_(MS_LIST_(function), MS_BATCH_)) {     \
        ms_list_ name = {function, function_length};                                                            \
        MS_COLUMNS_;                                                                                            \
        return ms_export_select_(ms_key_selectors, ms_key_selectors_count, name, &columns);                     \
    }
#else
/* Native tests call what Wasm exports. */
#define MS_EXPORT_PROCESSORS_
#define MS_EXPORT_PREDICATES_
#define MS_EXPORT_KEY_SELECTORS_
#endif

#ifdef __cplusplus
}
#endif

#endif
