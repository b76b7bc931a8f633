/* What a call forwards, collected in columns until it is handed to the host. */

#include <stdlib.h>

#include "ms_internal.h"

/* Past this many bytes what has been forwarded is handed over between two records, so that memory stays small. */
enum { HAND_OVER_BYTES = 256 * 1024 };

/* Whether a record's key or value is the very bytes of the row, not only equal ones, or both are null, or both empty. Nobody
 * writes to those bytes. */
static bool is_of_row(ms_bytes bytes, ms_bytes of_row) {
    return bytes.length == of_row.length &&
           (bytes.length == 0 ? ms_is_null(bytes) == ms_is_null(of_row) : bytes.data == of_row.data);
}

/* What a record still has of a row of the input: that need not be copied. */
static int parts_of_row(ms_output *output, const ms_record *record, uint32_t row) {
    if (row >= output->input.length) {
        return 0;
    }
    ms_record origin = ms_batch_key_and_value(&output->input, row);
    return (is_of_row(record->key, origin.key) ? MS_KEY_OF_ROW : 0) |
           (is_of_row(record->value, origin.value) ? MS_VALUE_OF_ROW : 0);
}

static void push_nulls(ms_segment *segment, int nulls) {
    while (segment->nulls.length < segment->length) {
        *ms_buffer_grow(&segment->nulls, 1) = 0;
    }
    *ms_buffer_grow(&segment->nulls, 1) = (char)nulls;
}

static void push(ms_segment *segment, const ms_record *record, int of_row) {
    int nulls = of_row;
    if (!(of_row & MS_KEY_OF_ROW)) {
        ms_push(&segment->keys, record->key.data, record->key.length);
        nulls |= ms_is_null(record->key) ? MS_NULL_KEY : 0;
    }
    if (!(of_row & MS_VALUE_OF_ROW)) {
        ms_push(&segment->values, record->value.data, record->value.length);
        nulls |= ms_is_null(record->value) ? MS_NULL_VALUE : 0;
    }
    ms_push_number(&segment->key_ends, (uint32_t)segment->keys.length);
    ms_push_number(&segment->value_ends, (uint32_t)segment->values.length);
    if (nulls != 0 || segment->nulls.length > 0) {
        push_nulls(segment, nulls);
    }
    ms_bytes headers = record->headers.packed;
    if (headers.length > 0) {
        ms_push_number(&segment->headers, (uint32_t)segment->length);
        ms_push_number(&segment->headers, (uint32_t)headers.length);
        ms_push(&segment->headers, headers.data, headers.length);
    }
    ms_push(&segment->timestamps, &record->timestamp, sizeof record->timestamp);
    segment->length++;
}

/* Removes the records from `length` on. */
static void shorten(ms_segment *segment, size_t length) {
    if (length == segment->length) {
        return;
    }
    segment->length = length;
    segment->keys.length = length == 0 ? 0 : ms_number_at(segment->key_ends.data, length - 1);
    segment->values.length = length == 0 ? 0 : ms_number_at(segment->value_ends.data, length - 1);
    segment->key_ends.length = segment->value_ends.length = length * sizeof(uint32_t);
    segment->timestamps.length = length * sizeof(int64_t);
    if (segment->nulls.length > length) {
        segment->nulls.length = length;
    }
    if (segment->rows.length > length * sizeof(uint32_t)) {
        segment->rows.length = length * sizeof(uint32_t);
    }
    size_t kept = 0;
    while (kept < segment->headers.length && ms_number_at(segment->headers.data + kept, 0) < length) {
        kept += 2 * sizeof(uint32_t) + ms_number_at(segment->headers.data + kept, 1);
    }
    segment->headers.length = kept;
}

/* The segment for a child; opens one where there is none. */
static size_t find(ms_output *output, uint32_t child) {
    if (!output->sequenced) {
        for (size_t index = 0; index < output->used; index++) {
            uint32_t other = output->segments[index].child;
            if (other == child) {
                return index;
            }
            /* A child that gets some records by name and others with everybody must get them in their order. */
            output->sequenced |= (other == MS_ALL_CHILDREN) != (child == MS_ALL_CHILDREN);
        }
    }
    if (output->sequenced && output->used > 0 && output->segments[output->used - 1].child == child) {
        return output->used - 1;
    }
    if (output->used == output->count) {
        size_t count = output->count == 0 ? 4 : 2 * output->count;
        ms_segment *segments = ms_malloc(count * sizeof *segments);
        memset(segments, 0, count * sizeof *segments);
        if (output->count > 0) {
            memcpy(segments, output->segments, output->count * sizeof *segments);
        }
        free(output->segments);
        output->segments = segments;
        output->count = count;
    }
    output->segments[output->used].child = child;
    return output->used++;
}

void ms_output_push(ms_output *output, uint32_t child, const ms_record *record, uint32_t row) {
    if (output->last >= output->used || output->segments[output->last].child != child) {
        output->last = find(output, child);
    }
    ms_segment *segment = &output->segments[output->last];
    push(segment, record, parts_of_row(output, record, row));
    if (row != MS_NO_ROW) {
        ms_push_number(&segment->rows, row);
    }
}

void ms_output_take_back(ms_output *output, uint32_t row) {
    for (size_t index = 0; index < output->used; index++) {
        ms_segment *segment = &output->segments[index];
        size_t length = segment->length;
        while (length > 0 && ms_number_at(segment->rows.data, length - 1) == row) {
            length--;
        }
        shorten(segment, length);
    }
}

void ms_output_clear(ms_output *output) {
    for (size_t index = 0; index < output->used; index++) {
        shorten(&output->segments[index], 0);
        ms_buffer_clear(&output->segments[index].keys);
        ms_buffer_clear(&output->segments[index].values);
    }
    output->used = output->last = 0;
}

static void hand_over(const ms_segment *segment) {
    if (segment->child == MS_ALL_CHILDREN) {
        ms_import_forward(segment->keys.data, segment->keys.length, segment->key_ends.data, segment->key_ends.length,
                          segment->values.data, segment->values.length, segment->value_ends.data, segment->value_ends.length,
                          segment->timestamps.data, segment->timestamps.length, segment->nulls.data, segment->nulls.length,
                          segment->headers.data, segment->headers.length, segment->rows.data, segment->rows.length);
        return;
    }
    ms_forward_to_arguments arguments = {
        .child = segment->child,
        .batch = {{segment->keys.data, segment->keys.length},
                  {segment->key_ends.data, segment->key_ends.length},
                  {segment->values.data, segment->values.length},
                  {segment->value_ends.data, segment->value_ends.length},
                  {segment->timestamps.data, segment->timestamps.length},
                  {segment->nulls.data, segment->nulls.length},
                  {segment->headers.data, segment->headers.length}},
        .rows = {segment->rows.data, segment->rows.length},
    };
    ms_import_forward_to(&arguments);
}

void ms_output_hand_over(ms_output *output) {
    for (size_t index = 0; index < output->used; index++) {
        if (output->segments[index].length > 0) {
            hand_over(&output->segments[index]);
        }
    }
    ms_output_clear(output);
}

void ms_output_hand_over_when_large(ms_output *output) {
    size_t bytes = 0;
    for (size_t index = 0; index < output->used; index++) {
        const ms_segment *segment = &output->segments[index];
        bytes += segment->keys.length + segment->values.length + segment->headers.length;
    }
    if (bytes > HAND_OVER_BYTES) {
        ms_output_hand_over(output);
    }
}

void ms_output_free(ms_output *output) {
    for (size_t index = 0; index < output->count; index++) {
        ms_segment *segment = &output->segments[index];
        ms_buffer *columns[] = {&segment->keys,  &segment->key_ends, &segment->values,  &segment->value_ends,
                                &segment->nulls, &segment->headers,  &segment->timestamps, &segment->rows};
        for (size_t column = 0; column < sizeof columns / sizeof *columns; column++) {
            free(columns[column]->data);
        }
    }
    free(output->segments);
    *output = (ms_output){0};
}
