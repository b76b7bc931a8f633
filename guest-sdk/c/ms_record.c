/* Bytes as the types that Kafka's serializers write, headers, and the records of a batch. */

#include <stdarg.h>
#include <stdio.h>

#include "ms_internal.h"

/* How many bytes a reason shows. */
enum { SHOWN_BYTES_MAX = 32 };

/* === Views === */

static ms_status unlike(ms_context *context, const char *part, ms_bytes bytes, const char *form) {
    if (ms_is_null(bytes)) {
        return ms_fatal(context, "the %s is null where %s is expected", part, form);
    }
    char shown[4 * SHOWN_BYTES_MAX + 1];
    size_t length = 0;
    for (size_t at = 0; at < bytes.length && at < SHOWN_BYTES_MAX; at++) {
        uint8_t byte = (uint8_t)bytes.data[at];
        bool is_plain = byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\';
        length += (size_t)snprintf(shown + length, sizeof shown - length, is_plain ? "%c" : "\\x%02x", byte);
    }
    shown[length] = '\0';
    return ms_fatal(context, "the %s has %zu bytes (\"%s\"%s) where %s is expected", part, bytes.length, shown,
                    bytes.length > SHOWN_BYTES_MAX ? "..." : "", form);
}

bool ms_read_text(ms_bytes bytes) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *at = (const uint8_t *)bytes.data, *end = at + bytes.length;
    if (ms_is_null(bytes)) {
        return false;
    }
    while (at < end) {
        uint8_t first = *at++;
        if (first < 0x80) {
            continue;
        }
        int length = first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : 2;
        if (first < 0xc2 || first >= 0xf8 || end - at < length - 1) {
            return false;
        }
        uint32_t point = first & (0xffu >> (length + 1));
        for (int more = 1; more < length; more++) {
            if ((*at & 0xc0) != 0x80) {
                return false;
            }
            point = point << 6 | (*at++ & 0x3f);
        }
        if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
            return false;
        }
    }
    return true;
}

static uint64_t big_endian(ms_bytes bytes) {
    uint64_t number = 0;
    for (size_t at = 0; at < bytes.length; at++) {
        number = number << 8 | (uint8_t)bytes.data[at];
    }
    return number;
}

bool ms_read_int32(ms_bytes bytes, int32_t *number) {
    if (bytes.length != sizeof *number) {
        return false;
    }
    *number = (int32_t)(uint32_t)big_endian(bytes);
    return true;
}

bool ms_read_int64(ms_bytes bytes, int64_t *number) {
    if (bytes.length != sizeof *number) {
        return false;
    }
    *number = (int64_t)big_endian(bytes);
    return true;
}

bool ms_read_float64(ms_bytes bytes, double *number) {
    if (bytes.length != sizeof *number) {
        return false;
    }
    uint64_t bits = big_endian(bytes);
    memcpy(number, &bits, sizeof bits);
    return true;
}

#define MS_VIEW(type, name, form)                                                                           \
    ms_status ms_key_##name(ms_context *context, const ms_record *record, type *number) {                   \
        return ms_read_##name(record->key, number) ? MS_OK : unlike(context, "key", record->key, form);       \
    }                                                                                                       \
    ms_status ms_value_##name(ms_context *context, const ms_record *record, type *number) {                 \
        return ms_read_##name(record->value, number) ? MS_OK : unlike(context, "value", record->value, form); \
    }

MS_VIEW(int32_t, int32, "an int32 of 4 bytes")
MS_VIEW(int64_t, int64, "an int64 of 8 bytes")
MS_VIEW(double, float64, "a float64 of 8 bytes")

ms_status ms_key_text(ms_context *context, const ms_record *record, ms_bytes *text) {
    *text = record->key;
    return ms_read_text(*text) ? MS_OK : unlike(context, "key", *text, "text in UTF-8");
}

ms_status ms_value_text(ms_context *context, const ms_record *record, ms_bytes *text) {
    *text = record->value;
    return ms_read_text(*text) ? MS_OK : unlike(context, "value", *text, "text in UTF-8");
}

ms_status ms_key_json(ms_context *context, const ms_record *record, ms_json **json) {
    *json = ms_is_null(record->key) ? NULL : ms_read_json(context, record->key);
    return *json != NULL ? MS_OK : unlike(context, "key", record->key, "JSON");
}

ms_status ms_value_json(ms_context *context, const ms_record *record, ms_json **json) {
    *json = ms_is_null(record->value) ? NULL : ms_read_json(context, record->value);
    return *json != NULL ? MS_OK : unlike(context, "value", record->value, "JSON");
}

/* === Making bytes === */

static ms_bytes written_big_endian(ms_context *context, uint64_t number, size_t length) {
    char *data = ms_allocate(context, length);
    for (size_t at = length; at > 0; at--, number >>= 8) {
        data[at - 1] = (char)number;
    }
    return (ms_bytes){data, length};
}

ms_bytes ms_int32(ms_context *context, int32_t number) { return written_big_endian(context, (uint32_t)number, sizeof number); }

ms_bytes ms_int64(ms_context *context, int64_t number) { return written_big_endian(context, (uint64_t)number, sizeof number); }

ms_bytes ms_float64(ms_context *context, double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return written_big_endian(context, bits, sizeof bits);
}

ms_bytes ms_format(ms_context *context, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    size_t size = length < 0 ? 0 : (size_t)length;
    char *text = ms_allocate(context, size + 1);
    text[0] = '\0';
    vsnprintf(text, size + 1, format, again);
    va_end(again);
    va_end(arguments);
    return (ms_bytes){text, size};
}

const char *ms_c_string(ms_context *context, ms_bytes bytes) {
    char *text = ms_allocate(context, bytes.length + 1);
    if (bytes.length > 0) {
        memcpy(text, bytes.data, bytes.length);
    }
    text[bytes.length] = '\0';
    return text;
}

void *ms_allocate(ms_context *context, size_t size) { return ms_arena_take(&context->scratch, size); }

/* === Headers: for each the key's length, the key, the value's length (or NULL_LENGTH), the value === */

#define NULL_LENGTH UINT32_MAX

static ms_bytes take_field(ms_bytes *rest) {
    uint32_t length = ms_number_at(rest->data, 0);
    rest->data += sizeof length;
    rest->length -= sizeof length;
    if (length == NULL_LENGTH) {
        return MS_NULL;
    }
    ms_bytes field = {rest->data, length};
    rest->data += length;
    rest->length -= length;
    return field;
}

bool ms_next_header(ms_headers *rest, ms_header *header) {
    if (rest->packed.length == 0) {
        return false;
    }
    header->key = take_field(&rest->packed);
    header->value = take_field(&rest->packed);
    return true;
}

bool ms_last_header(ms_headers headers, const char *key, ms_bytes *value) {
    bool is_found = false;
    for (ms_header header; ms_next_header(&headers, &header);) {
        if (ms_equal(header.key, ms_string(key))) {
            *value = header.value;
            is_found = true;
        }
    }
    return is_found;
}

static char *put_field(char *at, ms_bytes field) {
    uint32_t length = ms_is_null(field) ? NULL_LENGTH : (uint32_t)field.length;
    memcpy(at, &length, sizeof length);
    at += sizeof length;
    if (field.length > 0) {
        memcpy(at, field.data, field.length);
    }
    return at + field.length;
}

ms_headers ms_headers_with(ms_context *context, ms_headers headers, const char *key, ms_bytes value) {
    size_t before = headers.packed.length, length = before + 2 * sizeof(uint32_t) + strlen(key) + value.length;
    char *packed = ms_allocate(context, length);
    if (before > 0) {
        memcpy(packed, headers.packed.data, before);
    }
    put_field(put_field(packed + before, ms_string(key)), value);
    return (ms_headers){{packed, length}};
}

ms_headers ms_headers_without(ms_context *context, ms_headers headers, const char *key) {
    char *packed = ms_allocate(context, headers.packed.length), *at = packed;
    for (ms_header header; ms_next_header(&headers, &header);) {
        if (!ms_equal(header.key, ms_string(key))) {
            at = put_field(put_field(at, header.key), header.value);
        }
    }
    return (ms_headers){{packed, (size_t)(at - packed)}};
}

/* === Batches === */

ms_batch ms_batch_of(const ms_columns_ *columns) {
    return (ms_batch){
        .keys = ms_bytes_of(columns->keys.data, columns->keys.length),
        .key_ends = columns->key_ends.data,
        .values = ms_bytes_of(columns->values.data, columns->values.length),
        .value_ends = columns->value_ends.data,
        .timestamps = columns->timestamps.data,
        .nulls = columns->nulls.length == 0 ? NULL : columns->nulls.data,
        .headers = {columns->headers.data, columns->headers.length},
        .length = columns->timestamps.length / sizeof(int64_t),
    };
}

/* Finds the headers of a row. Rows ascend as a rule, so it goes on from where it was. */
static ms_headers headers_of(ms_batch *batch, size_t row) {
    if (row < batch->headers_row) {
        batch->headers_at = 0;
    }
    batch->headers_row = row;
    while (batch->headers_at < batch->headers.length) {
        const char *entry = batch->headers.data + batch->headers_at;
        uint32_t owner = ms_number_at(entry, 0), length = ms_number_at(entry, 1);
        if (owner == row) {
            return (ms_headers){{entry + 2 * sizeof(uint32_t), length}};
        }
        if (owner > row) {
            break;
        }
        batch->headers_at += 2 * sizeof(uint32_t) + length;
    }
    return (ms_headers){MS_NULL};
}

ms_record ms_batch_key_and_value(const ms_batch *batch, size_t row) {
    uint32_t key = row == 0 ? 0 : batch->key_ends[row - 1], value = row == 0 ? 0 : batch->value_ends[row - 1];
    ms_record record = {
        .key = {batch->keys.data + key, batch->key_ends[row] - key},
        .value = {batch->values.data + value, batch->value_ends[row] - value},
    };
    if (batch->nulls != NULL) {
        if (batch->nulls[row] & MS_NULL_KEY) {
            record.key = MS_NULL;
        }
        if (batch->nulls[row] & MS_NULL_VALUE) {
            record.value = MS_NULL;
        }
    }
    return record;
}

ms_record ms_batch_record(ms_batch *batch, size_t row) {
    ms_record record = ms_batch_key_and_value(batch, row);
    record.timestamp = batch->timestamps[row];
    if (batch->headers.length > 0) {
        record.headers = headers_of(batch, row);
    }
    return record;
}
