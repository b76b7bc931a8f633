/* JSON (RFC 8259): read into a tree, changed, written. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ms_internal.h"

/* How deep JSON may be nested: the reader calls itself for each level, and the stack has an end. */
enum { DEPTH_MAX = 500 };

/* === Reading === */

typedef struct reader {
    ms_context *context;
    const char *at, *end;
    int depth;
} reader;

static ms_json *make(ms_context *context, ms_json_type type) {
    ms_json *json = ms_allocate(context, sizeof *json);
    *json = (ms_json){.type = type};
    return json;
}

static void skip_space(reader *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) {
        in->at++;
    }
}

/* Takes a character, after space. */
static bool take(reader *in, char wanted) {
    skip_space(in);
    if (in->at < in->end && *in->at == wanted) {
        in->at++;
        return true;
    }
    return false;
}

static bool take_word(reader *in, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0) {
        return false;
    }
    in->at += length;
    return true;
}

static size_t digits(const char *at, const char *end) {
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9') {
        at++;
    }
    return (size_t)(at - start);
}

static ms_json *read_number(reader *in) {
    const char *start = in->at, *at = start;
    at += at < in->end && *at == '-';
    size_t whole = digits(at, in->end);
    if (whole == 0 || (whole > 1 && *at == '0')) {
        return NULL;
    }
    at += whole;
    if (at < in->end && *at == '.') {
        size_t fraction = digits(at + 1, in->end);
        if (fraction == 0) {
            return NULL;
        }
        at += 1 + fraction;
    }
    if (at < in->end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < in->end && (*at == '+' || *at == '-');
        size_t exponent = digits(at, in->end);
        if (exponent == 0) {
            return NULL;
        }
        at += exponent;
    }
    in->at = at;
    ms_json *json = make(in->context, MS_JSON_NUMBER);
    json->text = ms_bytes_of(start, (size_t)(at - start));
    return json;
}

/* Four hexadecimal digits; -1 if they are none. */
static int32_t read_unit(reader *in) {
    int32_t unit = 0;
    if (in->end - in->at < 4) {
        return -1;
    }
    for (int at = 0; at < 4; at++) {
        char c = *in->at++;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

static char *put_utf8(char *out, uint32_t point) {
    if (point < 0x80) {
        *out++ = (char)point;
    } else if (point < 0x800) {
        *out++ = (char)(0xc0 | point >> 6);
        *out++ = (char)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *out++ = (char)(0xe0 | point >> 12);
        *out++ = (char)(0x80 | (point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (point & 0x3f));
    } else {
        *out++ = (char)(0xf0 | point >> 18);
        *out++ = (char)(0x80 | (point >> 12 & 0x3f));
        *out++ = (char)(0x80 | (point >> 6 & 0x3f));
        *out++ = (char)(0x80 | (point & 0x3f));
    }
    return out;
}

/* An escape after its backslash; NULL if it is none. A half of a pair alone becomes U+FFFD. */
static char *read_escape(reader *in, char *out) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (in->at == in->end) {
        return NULL;
    }
    char name = *in->at++;
    const char *known = name == '\0' ? NULL : strchr(names, name);
    if (known != NULL) {
        *out++ = meant[known - names];
        return out;
    }
    int32_t unit = name == 'u' ? read_unit(in) : -1;
    if (unit < 0) {
        return NULL;
    }
    uint32_t point = (uint32_t)unit;
    if (unit >= 0xd800 && unit < 0xe000) {
        point = 0xfffd;
        const char *before = in->at;
        if (unit < 0xdc00 && take_word(in, "\\u")) {
            int32_t low = read_unit(in);
            if (low >= 0xdc00 && low < 0xe000) {
                point = 0x10000 + (((uint32_t)unit - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
            } else {
                in->at = before;
            }
        }
    }
    return put_utf8(out, point);
}

/* A string after its first quote. */
static bool read_string(reader *in, ms_bytes *text) {
    const char *start = in->at;
    while (in->at < in->end && *in->at != '"' && *in->at != '\\' && (uint8_t)*in->at >= ' ') {
        in->at++;
    }
    if (in->at < in->end && *in->at == '"') {
        *text = ms_bytes_of(start, (size_t)(in->at++ - start));
        return true;
    }
    /* Decoded text is never longer than what was written. */
    char *decoded = ms_allocate(in->context, (size_t)(in->end - start)), *out = decoded;
    in->at = start;
    while (in->at < in->end && *in->at != '"') {
        if ((uint8_t)*in->at < ' ') {
            return false;
        }
        if (*in->at != '\\') {
            *out++ = *in->at++;
            continue;
        }
        in->at++;
        out = read_escape(in, out);
        if (out == NULL) {
            return false;
        }
    }
    *text = ms_bytes_of(decoded, (size_t)(out - decoded));
    return in->at < in->end && *in->at++ == '"';
}

static ms_json *read(reader *in);

/* Elements, or members, up to the closing bracket. */
static bool read_children(reader *in, ms_json *parent, char closing) {
    ms_json **place = &parent->first;
    if (take(in, closing)) {
        return true;
    }
    do {
        ms_bytes name = MS_NULL;
        if (parent->type == MS_JSON_OBJECT && !(take(in, '"') && read_string(in, &name) && take(in, ':'))) {
            return false;
        }
        *place = read(in);
        if (*place == NULL) {
            return false;
        }
        (*place)->name = name;
        place = &(*place)->next;
    } while (take(in, ','));
    return take(in, closing);
}

static ms_json *read_tree(reader *in, ms_json_type type, char closing) {
    ms_json *json = make(in->context, type);
    in->depth++;
    bool is_read = in->depth <= DEPTH_MAX && read_children(in, json, closing);
    in->depth--;
    return is_read ? json : NULL;
}

static ms_json *read(reader *in) {
    if (take(in, '{')) {
        return read_tree(in, MS_JSON_OBJECT, '}');
    }
    if (take(in, '[')) {
        return read_tree(in, MS_JSON_ARRAY, ']');
    }
    if (take(in, '"')) {
        ms_json *json = make(in->context, MS_JSON_STRING);
        return read_string(in, &json->text) ? json : NULL;
    }
    if (take_word(in, "true")) {
        return ms_json_bool(in->context, true);
    }
    if (take_word(in, "false")) {
        return ms_json_bool(in->context, false);
    }
    if (take_word(in, "null")) {
        return ms_json_null(in->context);
    }
    return read_number(in);
}

ms_json *ms_read_json(ms_context *context, ms_bytes bytes) {
    if (!ms_read_text(bytes)) {
        return NULL;
    }
    reader in = {.context = context, .at = bytes.data, .end = bytes.data + bytes.length};
    ms_json *json = read(&in);
    skip_space(&in);
    return in.at == in.end ? json : NULL;
}

/* === Looking === */

ms_json *ms_json_member(const ms_json *object, const char *name) {
    ms_json *found = NULL;
    if (object != NULL && object->type == MS_JSON_OBJECT) {
        for (ms_json *member = object->first; member != NULL; member = member->next) {
            if (ms_equal(member->name, ms_string(name))) {
                found = member;
            }
        }
    }
    return found;
}

/* The longest number that is looked at; longer ones have digits that no double tells apart. */
enum { NUMBER_BYTES_MAX = 400 };

bool ms_json_float64(const ms_json *json, double *number) {
    char text[NUMBER_BYTES_MAX + 1];
    if (json == NULL || json->type != MS_JSON_NUMBER || json->text.length > NUMBER_BYTES_MAX) {
        return false;
    }
    memcpy(text, json->text.data, json->text.length);
    text[json->text.length] = '\0';
    *number = strtod(text, NULL);
    return isfinite(*number);
}

bool ms_json_int64(const ms_json *json, int64_t *number) {
    if (json == NULL || json->type != MS_JSON_NUMBER) {
        return false;
    }
    bool is_negative = json->text.data[0] == '-';
    uint64_t magnitude = 0, most = (uint64_t)INT64_MAX + is_negative;
    for (size_t at = is_negative; at < json->text.length; at++) {
        char c = json->text.data[at];
        uint64_t digit = (uint64_t)(c - '0');
        if (c < '0' || c > '9' || magnitude > (most - digit) / 10) {
            return false;
        }
        magnitude = magnitude * 10 + digit;
    }
    *number = (int64_t)(is_negative ? 0 - magnitude : magnitude);
    return true;
}

/* === Making === */

ms_json *ms_json_null(ms_context *context) { return make(context, MS_JSON_NULL); }

ms_json *ms_json_bool(ms_context *context, bool is) {
    ms_json *json = make(context, MS_JSON_BOOL);
    json->boolean = is;
    return json;
}

ms_json *ms_json_int(ms_context *context, int64_t number) {
    ms_json *json = make(context, MS_JSON_NUMBER);
    json->text = ms_format(context, "%lld", (long long)number);
    return json;
}

ms_json *ms_json_float(ms_context *context, double number) {
    /* JSON has no word for what is no number. */
    if (!isfinite(number)) {
        return ms_json_null(context);
    }
    ms_json *json = make(context, MS_JSON_NUMBER);
    for (int precision = 15; precision <= 17; precision++) {
        json->text = ms_format(context, "%.*g", precision, number);
        if (strtod(json->text.data, NULL) == number) {
            break;
        }
    }
    return json;
}

ms_json *ms_json_string(ms_context *context, ms_bytes text) {
    ms_json *json = make(context, MS_JSON_STRING);
    json->text = text;
    return json;
}

ms_json *ms_json_array(ms_context *context) { return make(context, MS_JSON_ARRAY); }

ms_json *ms_json_object(ms_context *context) { return make(context, MS_JSON_OBJECT); }

void ms_json_set(ms_context *context, ms_json *object, const char *name, ms_json *value) {
    ms_json **place = &object->first;
    while (*place != NULL && !ms_equal((*place)->name, ms_string(name))) {
        place = &(*place)->next;
    }
    value->name = ms_string(ms_c_string(context, ms_string(name)));
    value->next = *place == NULL ? NULL : (*place)->next;
    *place = value;
}

void ms_json_append(ms_json *array, ms_json *value) {
    ms_json **place = &array->first;
    while (*place != NULL) {
        place = &(*place)->next;
    }
    value->next = NULL;
    *place = value;
}

/* === Writing: twice, first to know how much memory it takes === */

typedef struct writer {
    /* NULL for counting. */
    char *out;
    size_t length;
} writer;

static void put(writer *to, const char *text, size_t length) {
    if (to->out != NULL && length > 0) {
        memcpy(to->out + to->length, text, length);
    }
    to->length += length;
}

static void put_string(writer *to, ms_bytes text) {
    put(to, "\"", 1);
    for (size_t at = 0; at < text.length; at++) {
        uint8_t c = (uint8_t)text.data[at];
        char escape[7];
        if (c == '"' || c == '\\') {
            put(to, "\\", 1);
            put(to, &text.data[at], 1);
        } else if (c < ' ') {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            put(to, escape, 6);
        } else {
            put(to, &text.data[at], 1);
        }
    }
    put(to, "\"", 1);
}

static void put_json(writer *to, const ms_json *json) {
    bool is_object = json->type == MS_JSON_OBJECT;
    switch (json->type) {
        case MS_JSON_NULL:
            put(to, "null", 4);
            return;
        case MS_JSON_BOOL:
            put(to, json->boolean ? "true" : "false", json->boolean ? 4 : 5);
            return;
        case MS_JSON_NUMBER:
            put(to, json->text.data, json->text.length);
            return;
        case MS_JSON_STRING:
            put_string(to, json->text);
            return;
        case MS_JSON_ARRAY:
        case MS_JSON_OBJECT:
            break;
    }
    put(to, is_object ? "{" : "[", 1);
    for (const ms_json *child = json->first; child != NULL; child = child->next) {
        if (is_object) {
            put_string(to, child->name);
            put(to, ":", 1);
        }
        put_json(to, child);
        if (child->next != NULL) {
            put(to, ",", 1);
        }
    }
    put(to, is_object ? "}" : "]", 1);
}

ms_bytes ms_write_json(ms_context *context, const ms_json *json) {
    writer counted = {NULL, 0};
    put_json(&counted, json);
    writer written = {ms_allocate(context, counted.length), 0};
    put_json(&written, json);
    return (ms_bytes){written.out, written.length};
}
