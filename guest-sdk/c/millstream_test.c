/* The stand-in for the host in native tests. */

#ifndef __wasm__

#include "millstream_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "ms_internal.h"

/* How many entries a cursor returns at once; few, so that tests turn pages. */
enum { PAGE_ENTRIES = 3, NAMES_MAX = 32, CURSORS_MAX = 256, LEVEL_BYTES_MAX = 8 };

/* A store in memory: entries, sorted by keys. */
struct test_store {
    const char *name;
    size_t count;
    ms_entry *entries;
};

struct test_schedule {
    uint32_t id, type;
    int64_t interval, due;
    bool is_cancelled;
};

/* A walk over a store as it is at each page. */
struct test_cursor {
    size_t store;
    bool is_open, has_lowest, has_highest, is_prefix, is_descending;
    ms_bytes lowest, highest, last;
};

struct ms_test {
    ms_running running;
    const ms_processor *processor;
    ms_setting config[NAMES_MAX];
    const char *children[NAMES_MAX], *store_names[NAMES_MAX];
    size_t config_count, children_count, stores_count;
    struct test_store stores[NAMES_MAX];
    struct test_cursor cursors[CURSORS_MAX];
    ms_buffer schedules, forwarded;
    uint32_t last_id;
    /* The batch that is processed, and the bytes of keys and values that came with what was forwarded of it. */
    ms_batch input;
    size_t copied_bytes;
    /* The stream time at each record of the batch. */
    int64_t *stream_times;
    size_t records;
    int64_t stream_time, wall_clock_time;
    bool in_punctuation;
    size_t calls, commits;
    char *logged;
    /* What lives until the test ends. */
    ms_arena kept;
};

/* The one that is tested. */
static ms_test *current;

static ms_bytes keep(ms_bytes bytes) {
    char *kept = ms_arena_take(&current->kept, bytes.length + 1);
    if (bytes.length > 0) {
        memcpy(kept, bytes.data, bytes.length);
    }
    kept[bytes.length] = '\0';
    return ms_is_null(bytes) ? MS_NULL : (ms_bytes){kept, bytes.length};
}

static ms_list_ keep_column(const void *data, size_t length) {
    ms_bytes kept = keep((ms_bytes){data == NULL ? "" : data, length});
    return (ms_list_){kept.data, length};
}

/* === Stores === */

static int compare(ms_bytes one, ms_bytes other) {
    size_t length = one.length < other.length ? one.length : other.length;
    int order = length == 0 ? 0 : memcmp(one.data, other.data, length);
    return order != 0 ? order : (one.length > other.length) - (one.length < other.length);
}

/* Where a key is, or would be. */
static size_t find(const struct test_store *store, ms_bytes key, bool *is_found) {
    size_t at = 0;
    while (at < store->count && compare(store->entries[at].key, key) < 0) {
        at++;
    }
    *is_found = at < store->count && compare(store->entries[at].key, key) == 0;
    return at;
}

static void put(struct test_store *store, ms_bytes key, ms_bytes value, int64_t timestamp) {
    bool is_found;
    size_t at = find(store, key, &is_found), after = store->count - at - is_found;
    if (ms_is_null(value)) {
        if (is_found) {
            memmove(&store->entries[at], &store->entries[at + 1], after * sizeof *store->entries);
            store->count--;
        }
        return;
    }
    if (!is_found) {
        ms_entry *entries = ms_malloc((store->count + 1) * sizeof *entries);
        if (store->count > 0) {
            memcpy(entries, store->entries, at * sizeof *entries);
            memcpy(entries + at + 1, store->entries + at, after * sizeof *entries);
        }
        free(store->entries);
        store->entries = entries;
        store->count++;
        store->entries[at].key = keep(key);
    }
    store->entries[at].value = keep(value);
    store->entries[at].timestamp = timestamp;
}

void ms_import_open(const void *name, size_t name_length, ms_open_answer *answer) {
    current->calls++;
    for (size_t index = 0; index < current->stores_count; index++) {
        if (ms_equal(ms_string(current->stores[index].name), ms_bytes_of(name, name_length))) {
            *answer = (ms_open_answer){.is_error = 0, .of = {.store = (uint32_t)index}};
            return;
        }
    }
    *answer = (ms_open_answer){.is_error = 1, .of = {.error = {.number = 0}}};
}

void ms_import_get(uint32_t store, const void *key, size_t key_length, ms_stored_answer *answer) {
    bool is_found;
    current->calls++;
    size_t at = find(&current->stores[store], ms_bytes_of(key, key_length), &is_found);
    *answer = (ms_stored_answer){.is_some = is_found};
    if (is_found) {
        const ms_entry *entry = &current->stores[store].entries[at];
        answer->stored.value = (ms_list_){entry->value.data, entry->value.length};
        answer->stored.timestamp = entry->timestamp;
    }
}

void ms_import_get_many(uint32_t store, const void *keys, size_t keys_length, const void *key_ends, size_t key_ends_length,
                        ms_values_columns *answer) {
    ms_buffer values = {0}, ends = {0}, nulls = {0}, timestamps = {0};
    uint32_t start = 0;
    (void)keys_length;
    current->calls++;
    for (size_t index = 0; index < key_ends_length / sizeof(uint32_t); index++) {
        uint32_t end = ms_number_at(key_ends, index);
        bool is_found;
        size_t at = find(&current->stores[store], ms_bytes_of((const char *)keys + start, end - start), &is_found);
        int64_t timestamp = -1;
        if (is_found) {
            const ms_entry *entry = &current->stores[store].entries[at];
            ms_push(&values, entry->value.data, entry->value.length);
            timestamp = entry->timestamp;
        }
        ms_push_number(&ends, (uint32_t)values.length);
        *ms_buffer_grow(&nulls, 1) = !is_found;
        ms_push(&timestamps, &timestamp, sizeof timestamp);
        start = end;
    }
    *answer = (ms_values_columns){keep_column(values.data, values.length), keep_column(ends.data, ends.length),
                                  keep_column(nulls.data, nulls.length), keep_column(timestamps.data, timestamps.length)};
    free(values.data), free(ends.data), free(nulls.data), free(timestamps.data);
}

void ms_import_put_many(uint32_t store, const void *keys, size_t keys_length, const void *key_ends, size_t key_ends_length,
                        const void *values, size_t values_length, const void *value_ends, size_t value_ends_length,
                        const void *nulls, size_t nulls_length, const void *timestamps, size_t timestamps_length) {
    uint32_t key = 0, value = 0;
    (void)keys_length, (void)values_length, (void)value_ends_length, (void)nulls_length, (void)timestamps_length;
    current->calls++;
    for (size_t index = 0; index < key_ends_length / sizeof(uint32_t); index++) {
        uint32_t key_end = ms_number_at(key_ends, index), value_end = ms_number_at(value_ends, index);
        int64_t timestamp;
        memcpy(&timestamp, (const char *)timestamps + index * sizeof timestamp, sizeof timestamp);
        bool is_null = ((const uint8_t *)nulls)[index] != 0;
        put(&current->stores[store], ms_bytes_of((const char *)keys + key, key_end - key),
            is_null ? MS_NULL : ms_bytes_of(value_end == value ? "" : (const char *)values + value, value_end - value), timestamp);
        key = key_end;
        value = value_end;
    }
}

static uint32_t open_cursor(struct test_cursor cursor) {
    current->calls++;
    for (uint32_t index = 0; index < CURSORS_MAX; index++) {
        if (!current->cursors[index].is_open) {
            current->cursors[index] = cursor;
            current->cursors[index].is_open = true;
            return index;
        }
    }
    fprintf(stderr, "%d cursors are open: close them, or walk to their ends\n", CURSORS_MAX);
    abort();
}

uint32_t ms_import_range(uint32_t store, uint32_t has_lowest, const void *lowest, size_t lowest_length,
                         uint32_t has_highest, const void *highest, size_t highest_length, uint32_t order) {
    return open_cursor((struct test_cursor){
        .store = store,
        .has_lowest = has_lowest,
        .lowest = keep(ms_bytes_of(lowest, lowest_length)),
        .has_highest = has_highest,
        .highest = keep(ms_bytes_of(highest, highest_length)),
        .is_descending = order == MS_DESCENDING,
    });
}

uint32_t ms_import_prefix(uint32_t store, const void *prefix, size_t prefix_length, uint32_t order) {
    return open_cursor((struct test_cursor){
        .store = store, .is_prefix = true, .lowest = keep(ms_bytes_of(prefix, prefix_length)), .is_descending = order == MS_DESCENDING});
}

static bool contains(const struct test_cursor *cursor, ms_bytes key) {
    if (cursor->is_prefix &&
        (key.length < cursor->lowest.length || memcmp(key.data, cursor->lowest.data, cursor->lowest.length) != 0)) {
        return false;
    }
    if ((cursor->has_lowest && compare(key, cursor->lowest) < 0) || (cursor->has_highest && compare(key, cursor->highest) > 0)) {
        return false;
    }
    if (ms_is_null(cursor->last)) {
        return true;
    }
    return cursor->is_descending ? compare(key, cursor->last) < 0 : compare(key, cursor->last) > 0;
}

void ms_import_cursor_next(uint32_t handle, uint32_t entries_max, ms_entries_columns *answer) {
    struct test_cursor *cursor = &current->cursors[handle];
    const struct test_store *store = &current->stores[cursor->store];
    ms_buffer keys = {0}, key_ends = {0}, values = {0}, value_ends = {0}, timestamps = {0};
    (void)entries_max;
    current->calls++;
    for (size_t at = 0; at < store->count && key_ends.length < PAGE_ENTRIES * sizeof(uint32_t); at++) {
        const ms_entry *entry = &store->entries[cursor->is_descending ? store->count - 1 - at : at];
        if (contains(cursor, entry->key)) {
            ms_push(&keys, entry->key.data, entry->key.length);
            ms_push_number(&key_ends, (uint32_t)keys.length);
            ms_push(&values, entry->value.data, entry->value.length);
            ms_push_number(&value_ends, (uint32_t)values.length);
            ms_push(&timestamps, &entry->timestamp, sizeof entry->timestamp);
            cursor->last = entry->key;
        }
    }
    *answer = (ms_entries_columns){keep_column(keys.data, keys.length), keep_column(key_ends.data, key_ends.length),
                                   keep_column(values.data, values.length), keep_column(value_ends.data, value_ends.length),
                                   {"", 0}, keep_column(timestamps.data, timestamps.length)};
    free(keys.data), free(key_ends.data), free(values.data), free(value_ends.data), free(timestamps.data);
}

void ms_import_cursor_drop(uint32_t cursor) { current->cursors[cursor].is_open = false; }

uint64_t ms_import_approximate_entries(uint32_t store) {
    current->calls++;
    return current->stores[store].count;
}

/* === The context === */

/* Gives a record that was forwarded what it has of its row. */
static void take_parts_of_row(ms_record *record, int bits, ms_list_ rows, size_t index) {
    int of_row = bits & (MS_KEY_OF_ROW | MS_VALUE_OF_ROW);
    if (((of_row >> 2) & bits) != 0 || bits >= 16 || (of_row != 0 && rows.length == 0) ||
        ((of_row & MS_KEY_OF_ROW) && record->key.length > 0) || ((of_row & MS_VALUE_OF_ROW) && record->value.length > 0)) {
        fprintf(stderr, "what is forwarded can't be read\n");
        abort();
    }
    if (of_row == 0) {
        return;
    }
    ms_record origin = ms_batch_key_and_value(&current->input, ms_number_at(rows.data, index));
    if (of_row & MS_KEY_OF_ROW) {
        record->key = origin.key;
    }
    if (of_row & MS_VALUE_OF_ROW) {
        record->value = origin.value;
    }
}

static void forwarded(uint32_t child, const ms_columns_ *columns, ms_list_ rows) {
    ms_columns_ kept = {
        keep_column(columns->keys.data, columns->keys.length),
        keep_column(columns->key_ends.data, columns->key_ends.length),
        keep_column(columns->values.data, columns->values.length),
        keep_column(columns->value_ends.data, columns->value_ends.length),
        keep_column(columns->timestamps.data, columns->timestamps.length),
        keep_column(columns->nulls.data, columns->nulls.length),
        keep_column(columns->headers.data, columns->headers.length),
    };
    ms_batch batch = ms_batch_of(&kept);
    current->calls++;
    current->copied_bytes += kept.keys.length + kept.values.length;
    for (size_t index = 0; index < batch.length; index++) {
        ms_forwarded one = {child == MS_ALL_CHILDREN ? NULL : current->children[child], ms_batch_record(&batch, index)};
        take_parts_of_row(&one.record, batch.nulls == NULL ? 0 : batch.nulls[index], rows, index);
        ms_push(&current->forwarded, &one, sizeof one);
    }
}

void ms_import_forward(const void *keys, size_t keys_length, const void *key_ends, size_t key_ends_length,
                       const void *values, size_t values_length, const void *value_ends, size_t value_ends_length,
                       const void *timestamps, size_t timestamps_length, const void *nulls, size_t nulls_length,
                       const void *headers, size_t headers_length, const void *rows, size_t rows_length) {
    forwarded(MS_ALL_CHILDREN, &(ms_columns_){{keys, keys_length},
                                              {key_ends, key_ends_length},
                                              {values, values_length},
                                              {value_ends, value_ends_length},
                                              {timestamps, timestamps_length},
                                              {nulls, nulls_length},
                                              {headers, headers_length}},
              (ms_list_){rows, rows_length});
}

void ms_import_forward_to(const ms_forward_to_arguments *arguments) {
    forwarded(arguments->child, &arguments->batch, arguments->rows);
}

void ms_import_child(const void *name, size_t name_length, ms_child_answer *answer) {
    current->calls++;
    *answer = (ms_child_answer){.is_some = 0};
    for (size_t index = 0; index < current->children_count && !answer->is_some; index++) {
        if (ms_equal(ms_string(current->children[index]), ms_bytes_of(name, name_length))) {
            *answer = (ms_child_answer){.is_some = 1, .index = (uint32_t)index};
        }
    }
}

static int64_t now(uint32_t type) { return type == MS_STREAM_TIME ? current->stream_time : current->wall_clock_time; }

static void schedule(bool has_start, int64_t start, uint64_t interval_ms, uint32_t type, ms_schedule_answer *answer) {
    int64_t interval = (int64_t)interval_ms, due = now(type) + interval;
    const char *reason = interval < 1 ? "the interval must be 1 ms or more" : has_start && start < 0 ? "the start must not be negative" : NULL;
    current->calls++;
    if (reason != NULL) {
        *answer = (ms_schedule_answer){.is_error = 1, .of = {.reason = {reason, strlen(reason)}}};
        return;
    }
    if (has_start) {
        due = start < now(type) ? start + ((now(type) - start) / interval + 1) * interval : start;
    } else if (type == MS_STREAM_TIME) {
        due = 0;
    }
    struct test_schedule entry = {++current->last_id, type, interval, due, false};
    ms_push(&current->schedules, &entry, sizeof entry);
    *answer = (ms_schedule_answer){.is_error = 0, .of = {.id = entry.id}};
}

void ms_import_schedule(uint64_t interval_ms, uint32_t type, ms_schedule_answer *answer) {
    schedule(false, 0, interval_ms, type, answer);
}

void ms_import_schedule_at(int64_t start, uint64_t interval_ms, uint32_t type, ms_schedule_answer *answer) {
    schedule(true, start, interval_ms, type, answer);
}

static struct test_schedule *schedules(void) { return (struct test_schedule *)(void *)current->schedules.data; }

static size_t schedules_count(void) { return current->schedules.length / sizeof(struct test_schedule); }

void ms_import_cancel(uint32_t id) {
    current->calls++;
    for (size_t index = 0; index < schedules_count(); index++) {
        schedules()[index].is_cancelled |= schedules()[index].id == id;
    }
}

int64_t ms_import_stream_time(uint32_t row) {
    current->calls++;
    return current->in_punctuation || row >= current->records ? current->stream_time : current->stream_times[row];
}

int64_t ms_import_wall_clock_time(void) {
    current->calls++;
    return current->wall_clock_time;
}

/* Records of a test come from partition 0 of a topic `test`, and each batch begins at offset 0. */
void ms_import_metadata(uint32_t row, ms_metadata_answer *answer) {
    bool is_record = !current->in_punctuation && row < current->records;
    current->calls++;
    *answer = (ms_metadata_answer){.is_some = is_record || current->in_punctuation, .metadata = {{"", 0}, -1, -1}};
    if (is_record) {
        answer->metadata.topic = (ms_list_){"test", 4};
        answer->metadata.partition = 0;
        answer->metadata.offset = row;
    }
}

void ms_import_commit(void) {
    current->calls++;
    current->commits++;
}

void ms_import_log(uint32_t level, const void *message, size_t message_length) {
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
    if (current == NULL || level == MS_ERROR) {
        fprintf(stderr, "%s: %.*s\n", levels[level], (int)message_length, (const char *)message);
    }
    if (current != NULL) {
        current->logged = ms_arena_take(&current->kept, message_length + LEVEL_BYTES_MAX);
        snprintf(current->logged, message_length + LEVEL_BYTES_MAX, "%s: %.*s", levels[level], (int)message_length,
                 (const char *)message);
    }
}

/* === What tests call === */

ms_test *ms_test_new(const char *processor) {
    for (size_t index = 0; index < ms_processors_count; index++) {
        if (strcmp(ms_processors[index].name, processor) == 0) {
            ms_test *test = ms_malloc(sizeof *test);
            memset(test, 0, sizeof *test);
            test->processor = &ms_processors[index];
            test->children[test->children_count++] = "child";
            test->stream_time = -1;
            current = test;
            return test;
        }
    }
    fprintf(stderr, "there is no processor `%s` in MS_PROCESSORS\n", processor);
    exit(1);
}

void ms_test_free(ms_test *test) {
    for (size_t index = 0; index < test->stores_count; index++) {
        free(test->stores[index].entries);
    }
    free(test->schedules.data), free(test->forwarded.data), free(test->stream_times);
    ms_running_free(&test->running);
    ms_arena_free(&test->kept);
    free(test);
    current = NULL;
}

/* The next place of one of the lists of names. */
static size_t next(size_t *count) {
    if (*count == NAMES_MAX) {
        fprintf(stderr, "a test takes at most %d of each\n", NAMES_MAX);
        exit(1);
    }
    return (*count)++;
}

void ms_test_with_config(ms_test *test, const char *key, const char *value) {
    test->config[next(&test->config_count)] = (ms_setting){key, value};
}

void ms_test_with_children(ms_test *test, const char *const *children, size_t count) {
    test->children_count = 0;
    for (size_t index = 0; index < count; index++) {
        test->children[next(&test->children_count)] = children[index];
    }
}

void ms_test_with_store(ms_test *test, const char *name) {
    size_t index = next(&test->stores_count);
    test->store_names[index] = test->stores[index].name = name;
}

ms_status ms_test_begin(ms_test *test) {
    ms_setup setup = {
        .processor = test->processor->name,
        .node = "node",
        .task = "0_0",
        .config = test->config,
        .config_count = test->config_count,
        .children = test->children,
        .children_count = test->children_count,
        .stores = test->store_names,
        .stores_count = test->stores_count,
    };
    return ms_running_begin(&test->running, test->processor, &setup);
}

/* Calls the punctuations that are due, each once; missed intervals are skipped. */
static ms_status punctuate(ms_test *test, uint32_t type) {
    ms_status status = MS_OK;
    test->in_punctuation = true;
    for (size_t index = 0; index < schedules_count(); index++) {
        struct test_schedule *entry = &schedules()[index];
        if (entry->type == type && !entry->is_cancelled && now(type) >= 0 && entry->due <= now(type)) {
            entry->due += ((now(type) - entry->due) / entry->interval + 1) * entry->interval;
            ms_status own = ms_running_punctuate(&test->running, entry->id, now(type));
            status = status == MS_OK ? own : status;
        }
    }
    test->in_punctuation = false;
    return status;
}

ms_status ms_test_process(ms_test *test, const ms_record *record) { return ms_test_process_batch(test, record, 1); }

ms_status ms_test_process_batch(ms_test *test, const ms_record *records, size_t count) {
    ms_output columns = {.sequenced = true};
    free(test->stream_times);
    test->stream_times = ms_malloc(count * sizeof *test->stream_times);
    test->records = count;
    test->calls = test->copied_bytes = 0;
    for (size_t row = 0; row < count; row++) {
        ms_output_push(&columns, MS_ALL_CHILDREN, &records[row], MS_NO_ROW);
        if (records[row].timestamp > test->stream_time) {
            test->stream_time = records[row].timestamp;
        }
        test->stream_times[row] = test->stream_time;
    }
    const ms_segment *all = columns.segments;
    ms_batch batch = ms_batch_of(&(ms_columns_){
        keep_column(all->keys.data, all->keys.length), keep_column(all->key_ends.data, all->key_ends.length),
        keep_column(all->values.data, all->values.length), keep_column(all->value_ends.data, all->value_ends.length),
        keep_column(all->timestamps.data, all->timestamps.length), keep_column(all->nulls.data, all->nulls.length),
        keep_column(all->headers.data, all->headers.length)});
    ms_output_free(&columns);
    const ms_batch given = batch;
    test->input = batch;
    test->input.keys = keep(batch.keys);
    test->input.values = keep(batch.values);
    ms_running_process(&test->running, &batch);
    if (!ms_equal(test->input.keys, given.keys) || !ms_equal(test->input.values, given.values)) {
        fprintf(stderr, "the bytes of a record were changed in place: forward a changed copy of it\n");
        abort();
    }
    const ms_failure *failures = (const ms_failure *)(void *)test->running.context.failures.data;
    static const ms_status statuses[] = {MS_SKIP, MS_DEAD_LETTER, MS_RETRY, MS_FATAL};
    ms_status status = ms_test_failures(test) > 0 ? statuses[failures[0].reaction] : MS_OK;
    ms_status punctuated = punctuate(test, MS_STREAM_TIME);
    return status == MS_OK ? punctuated : status;
}

size_t ms_test_failures(const ms_test *test) { return test->running.context.failures.length / sizeof(ms_failure); }

size_t ms_test_failed_row(const ms_test *test, size_t index) {
    return ((const ms_failure *)(void *)test->running.context.failures.data)[index].row;
}

const char *ms_test_reason(const ms_test *test) { return ms_reason(&test->running.context); }

ms_status ms_test_advance_wall_clock_time(ms_test *test, int64_t milliseconds) {
    test->wall_clock_time += milliseconds;
    return punctuate(test, MS_WALL_CLOCK_TIME);
}

void ms_test_close(ms_test *test) { ms_running_close(&test->running); }

size_t ms_test_forwarded_count(const ms_test *test) { return test->forwarded.length / sizeof(ms_forwarded); }

const ms_forwarded *ms_test_forwarded(const ms_test *test, size_t index) {
    if (index >= ms_test_forwarded_count(test)) {
        fprintf(stderr, "there is no forwarded record %zu, but %zu\n", index, ms_test_forwarded_count(test));
        exit(1);
    }
    return (const ms_forwarded *)(void *)test->forwarded.data + index;
}

void ms_test_clear_forwarded(ms_test *test) { test->forwarded.length = 0; }

static struct test_store *store_called(const ms_test *test, const char *name) {
    for (size_t index = 0; index < test->stores_count; index++) {
        if (strcmp(test->stores[index].name, name) == 0) {
            return (struct test_store *)&test->stores[index];
        }
    }
    fprintf(stderr, "there is no store `%s`: add it by ms_test_with_store\n", name);
    exit(1);
}

ms_bytes ms_test_stored(const ms_test *test, const char *store, ms_bytes key) {
    bool is_found;
    const struct test_store *found = store_called(test, store);
    size_t at = find(found, key, &is_found);
    return is_found ? found->entries[at].value : MS_NULL;
}

void ms_test_put(ms_test *test, const char *store, ms_bytes key, ms_bytes value) { put(store_called(test, store), key, value, 0); }

size_t ms_test_host_calls(const ms_test *test) { return test->calls; }

size_t ms_test_copied_bytes(const ms_test *test) { return test->copied_bytes; }

const char *ms_test_last_logged(const ms_test *test) { return test->logged; }

size_t ms_test_commits_requested(const ms_test *test) { return test->commits; }

#endif
