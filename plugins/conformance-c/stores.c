/* The commands on stores. */

#include <stdlib.h>

#include "conformance.h"

ms_store *find_store(struct commands *self, const char *name) {
    for (size_t at = 0; at < self->stores_count; at++) {
        if (is(self->copy.stores[at], name)) {
            return self->stores[at];
        }
    }
    return NULL;
}

/* Text in the making. */
struct text {
    ms_context *context;
    ms_bytes of;
    size_t room;
};

static void append(struct text *text, ms_bytes more) {
    size_t length = text->of.length + more.length;
    if (length > text->room) {
        text->room = 2 * length;
        char *longer = ms_allocate(text->context, text->room);
        memcpy(longer, text->of.data, text->of.length);
        text->of.data = longer;
    }
    memcpy((char *)text->of.data + text->of.length, more.data, more.length);
    text->of.length = length;
}

static ms_bytes shown(ms_context *context, ms_cursor *cursor) {
    struct text text = {context, ms_string(""), 0};
    for (ms_entry entry; ms_cursor_next(cursor, &entry);) {
        append(&text, ms_string(text.of.length == 0 ? "" : " "));
        append(&text, entry.key);
        append(&text, ms_string("="));
        append(&text, entry.value);
        append(&text, ms_format(context, "@%lld", (long long)entry.timestamp));
    }
    return text.of;
}

static ms_bytes bound(const char *word) { return is(word, "-") ? MS_NULL : ms_string(word); }

static void many(ms_store *store, struct words words, const ms_record *record, ms_context *context) {
    size_t count = words.count - 2;
    ms_bytes *keys = ms_allocate(context, count * sizeof *keys), *values = ms_allocate(context, count * sizeof *values);
    ms_entry *entries = ms_allocate(context, count * sizeof *entries);
    for (size_t at = 0; at < count; at++) {
        keys[at] = ms_string(words.of[at + 2]);
        entries[at] = (ms_entry){keys[at], record->value, record->timestamp};
    }
    if (is(words.of[0], "put-many")) {
        ms_store_put_many(store, entries, count);
        return;
    }
    ms_store_get_many(store, keys, count, values);
    struct text text = {context, ms_string(""), 0};
    for (size_t at = 0; at < count; at++) {
        append(&text, ms_string(at == 0 ? "" : ","));
        append(&text, ms_is_null(values[at]) ? ms_string("-") : values[at]);
    }
    answer(context, record, text.of);
}

static ms_bytes filled(ms_context *context, int64_t length) {
    char *bytes = ms_allocate(context, (size_t)length);
    memset(bytes, 'x', (size_t)length);
    return ms_bytes_of(bytes, (size_t)length);
}

static ms_status walk(ms_store *store, struct words words, const ms_record *record, ms_context *context) {
    const char *command = words.of[0];
    ms_order order = strncmp(command, "reverse", 7) == 0 ? MS_DESCENDING : MS_ASCENDING;
    if (strstr(command, "range") != NULL) {
        answer(context, record, shown(context, ms_store_range(store, bound(words.of[2]), bound(words.of[3]), order)));
    } else if (strstr(command, "prefix") != NULL) {
        answer(context, record, shown(context, ms_store_prefix(store, ms_string(words.of[2]), order)));
    } else if (is(command, "clear")) {
        int count = 0;
        ms_cursor *cursor = ms_store_range(store, MS_NULL, MS_NULL, MS_ASCENDING);
        for (ms_entry entry; ms_cursor_next(cursor, &entry); count++) {
            ms_store_put(store, entry.key, MS_NULL);
        }
        answer(context, record, ms_format(context, "%d", count));
    } else if (is(command, "cursors")) {
        for (int64_t at = 0; at < number_of(words.of[2]); at++) {
            ms_entry entry;
            ms_cursor_next(ms_store_range(store, MS_NULL, MS_NULL, MS_ASCENDING), &entry);
        }
        answer(context, record, ms_string("ok"));
    } else {
        return ms_fatal(context, "unknown command `%s`", command);
    }
    return MS_OK;
}

ms_status access_store(struct commands *self, struct words words, const ms_record *record, ms_context *context) {
    const char *command = words.of[0];
    ms_store *store = find_store(self, words.of[1]);
    ms_bytes key = ms_string(words.of[2]), value = record->value;
    ms_bytes own = ms_is_null(value) ? ms_string("") : value;
    if (is(command, "put")) {
        ms_store_put(store, key, value);
    } else if (is(command, "put-at")) {
        ms_store_put_at(store, key, value, number_of(words.of[3]));
    } else if (is(command, "put-self")) {
        ms_store_put(store, own, value);
    } else if (is(command, "get")) {
        answer(context, record, ms_store_get(store, key));
    } else if (is(command, "get-self")) {
        answer(context, record, ms_store_get(store, own));
    } else if (is(command, "stamped")) {
        int64_t timestamp;
        ms_bytes found = ms_store_get_with_timestamp(store, key, &timestamp);
        struct text text = {context, ms_format(context, "%lld ", (long long)timestamp), 0};
        append(&text, ms_is_null(found) ? ms_string("") : found);
        answer(context, record, ms_is_null(found) ? ms_string("none") : text.of);
    } else if (is(command, "put-if-absent")) {
        answer(context, record, ms_store_put_if_absent(store, key, value));
    } else if (is(command, "delete")) {
        answer(context, record, ms_store_delete(store, key));
    } else if (is(command, "get-many") || is(command, "put-many")) {
        many(store, words, record, context);
    } else if (is(command, "entries")) {
        answer(context, record, ms_format(context, "%llu", (unsigned long long)ms_store_approximate_entries(store)));
    } else if (is(command, "put-sized")) {
        ms_store_put(store, filled(context, number_of(words.of[2])), filled(context, number_of(words.of[3])));
    } else {
        return walk(store, words, record, context);
    }
    return MS_OK;
}
