/* A plugin that knows nothing of our SDKs: written against wit/ alone, with what `wit-bindgen c --world plugin-processor wit`
 * makes of it (plugin_processor*, here as it came out) and clang. It keeps the last value of each key in the store `latest`, and
 * forwards the one before. No value deletes what is kept; a value that begins with `?` is kept only where nothing is. It calls the
 * host for each record, as the SDKs do not. */

#include <stdlib.h>
#include <string.h>

#include "plugin_processor.h"

#define EXPORT(name) exports_millstream_processor_processor_##name
#define STATE(name) millstream_processor_state_##name

static STATE(borrow_key_value_store_t) latest;

void EXPORT(processors)(plugin_processor_list_string_t *ret) {
    ret->ptr = malloc(sizeof *ret->ptr);
    ret->len = 1;
    plugin_processor_string_dup(ret->ptr, "before");
}

bool EXPORT(init)(EXPORT(setup_t) * setup, plugin_processor_string_t *err) {
    plugin_processor_string_t name;
    STATE(own_key_value_store_t) opened;
    STATE(error_t) error;
    EXPORT(setup_free)(setup);
    plugin_processor_string_set(&name, "latest");
    if (!STATE(static_key_value_store_open)(&name, &opened, &error)) {
        STATE(error_free)(&error);
        plugin_processor_string_dup(err, "the node needs the store `latest`");
        return false;
    }
    latest = STATE(borrow_key_value_store)(opened);
    return true;
}

/* The entry at `row` of a column. */
static plugin_processor_list_u8_t part(plugin_processor_list_u8_t column, plugin_processor_list_u8_t ends, size_t row) {
    uint32_t start = 0, end;
    if (row > 0) {
        memcpy(&start, ends.ptr + 4 * (row - 1), 4);
    }
    memcpy(&end, ends.ptr + 4 * row, 4);
    return (plugin_processor_list_u8_t){column.ptr + start, end - start};
}

/* Forwards one record, which descends from `row`. */
static void forward(plugin_processor_list_u8_t key, const STATE(stored_t) * before, uint32_t row) {
    uint32_t key_end = (uint32_t)key.len, value_end = before == NULL ? 0 : (uint32_t)before->value.len;
    int64_t timestamp = before == NULL ? 0 : before->timestamp < 0 ? 0 : before->timestamp;
    uint8_t null = before == NULL ? 2 : 0;
    millstream_processor_context_batch_t batch = {
        .keys = key,
        .key_ends = {(uint8_t *)&key_end, 4},
        .values = before == NULL ? (plugin_processor_list_u8_t){NULL, 0} : before->value,
        .value_ends = {(uint8_t *)&value_end, 4},
        .timestamps = {(uint8_t *)&timestamp, 8},
        .nulls = {&null, 1},
    };
    plugin_processor_list_u8_t rows = {(uint8_t *)&row, 4};
    millstream_processor_context_forward(&batch, &rows);
}

void EXPORT(process)(EXPORT(batch_t) * records, EXPORT(list_failure_t) * ret) {
    size_t count = records->timestamps.len / 8;
    ret->ptr = calloc(count, sizeof *ret->ptr);
    ret->len = 0;
    for (size_t row = 0; row < count; row++) {
        uint8_t nulls = records->nulls.len == 0 ? 0 : records->nulls.ptr[row];
        if (nulls & 1) {
            EXPORT(failure_t) *failure = &ret->ptr[ret->len++];
            failure->row = (uint32_t)row;
            failure->reaction.tag = EXPORTS_MILLSTREAM_PROCESSOR_PROCESSOR_REACTION_SKIP;
            plugin_processor_string_dup(&failure->reaction.val.skip, "the record has no key");
            continue;
        }
        plugin_processor_list_u8_t key = part(records->keys, records->key_ends, row);
        plugin_processor_list_u8_t value = part(records->values, records->value_ends, row);
        STATE(stored_t) before;
        int64_t timestamp;
        memcpy(&timestamp, records->timestamps.ptr + 8 * row, 8);
        bool is_there;
        if (nulls & 2) {
            is_there = STATE(method_key_value_store_delete)(latest, &key, timestamp, &before);
        } else if (value.len > 0 && value.ptr[0] == '?') {
            is_there = STATE(method_key_value_store_put_if_absent)(latest, &key, &value, timestamp, &before);
        } else {
            is_there = STATE(method_key_value_store_get)(latest, &key, &before);
            STATE(method_key_value_store_put)(latest, &key, &value, timestamp);
        }
        forward(key, is_there ? &before : NULL, (uint32_t)row);
        if (is_there) {
            STATE(stored_free)(&before);
        }
    }
    EXPORT(batch_free)(records);
}

bool EXPORT(punctuate)(uint32_t id, EXPORT(punctuation_type_t) kind, int64_t timestamp, EXPORT(reaction_t) * err) {
    (void)id, (void)kind, (void)timestamp, (void)err;
    return true;
}

void EXPORT(close)(void) {}
