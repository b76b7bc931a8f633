/* Parses what sensors send, packed to save their batteries, into JSON: one record for each reading.
 *
 * A message is the byte 'R', a version (1), the number of readings (1 byte), the time of the first one (8 bytes, milliseconds
 * since the epoch); then for each reading the seconds since the first (2 bytes), its kind (1 byte) and its value (4 bytes,
 * signed, in thousandths). Numbers are big-endian. What is no such message goes to the dead-letter topic. */

#include "millstream.h"

enum { HEAD_BYTES = 11, READING_BYTES = 7, VERSION = 1 };

static const char *const kinds[] = {"temperature", "humidity", "voltage"};

static uint64_t number_at(ms_bytes bytes, size_t at, size_t length) {
    uint64_t number = 0;
    for (size_t end = at + length; at < end; at++) {
        number = number << 8 | (uint8_t)bytes.data[at];
    }
    return number;
}

static ms_status parse_reading(const ms_record *record, size_t at, int64_t start, ms_context *context) {
    size_t kind = number_at(record->value, at + 2, 1);
    int32_t thousandths = (int32_t)number_at(record->value, at + 3, 4);
    if (kind >= sizeof kinds / sizeof *kinds) {
        return ms_dead_letter(context, "the reading at byte %zu is of the unknown kind %zu", at, kind);
    }
    ms_json *json = ms_json_object(context);
    ms_json_set(context, json, "kind", ms_json_string(context, ms_string(kinds[kind])));
    ms_json_set(context, json, "value", ms_json_float(context, thousandths / 1000.0));
    ms_record reading = *record;
    reading.value = ms_write_json(context, json);
    reading.timestamp = start + (int64_t)number_at(record->value, at, 2) * 1000;
    ms_forward(context, &reading);
    return MS_OK;
}

static ms_status parse(void *state, const ms_record *record, ms_context *context) {
    (void)state;
    ms_bytes message = record->value;
    if (message.length < HEAD_BYTES || message.data[0] != 'R') {
        return ms_dead_letter(context, "%zu bytes are no message of a sensor", message.length);
    }
    if (message.data[1] != VERSION) {
        return ms_dead_letter(context, "a message of version %d: this is for version %d", message.data[1], VERSION);
    }
    size_t count = number_at(message, 2, 1);
    int64_t start = (int64_t)number_at(message, 3, 8);
    if (start < 0 || message.length != HEAD_BYTES + count * READING_BYTES) {
        return ms_dead_letter(context, "a message of %zu bytes says that it has %zu readings", message.length, count);
    }
    for (size_t index = 0; index < count; index++) {
        MS_TRY(parse_reading(record, HEAD_BYTES + index * READING_BYTES, start, context));
    }
    return MS_OK;
}

MS_PROCESSORS({.name = "parse", .process = parse})
