/* State stores: every access behaves as if it went to the host at once, but those of a batch travel together. */

#include <stdlib.h>

#include "ms_internal.h"

ms_bytes ms_store_get(ms_store *store, ms_bytes key) { return ms_cache_get(&store->cache, key)->value; }

ms_bytes ms_store_get_with_timestamp(ms_store *store, ms_bytes key, int64_t *timestamp) {
    const ms_state *state = ms_cache_get(&store->cache, key);
    *timestamp = state->known == MS_KNOWN_PRESENT ? state->timestamp : -1;
    return state->value;
}

void ms_store_get_many(ms_store *store, const ms_bytes *keys, size_t count, ms_bytes *values) {
    for (size_t index = 0; index < count; index++) {
        ms_cache_want(&store->cache, keys[index]);
    }
    ms_cache_read_wanted(&store->cache);
    for (size_t index = 0; index < count; index++) {
        values[index] = ms_store_get(store, keys[index]);
    }
}

void ms_store_put(ms_store *store, ms_bytes key, ms_bytes value) {
    ms_cache_put(&store->cache, key, value, store->context->timestamp);
}

void ms_store_put_at(ms_store *store, ms_bytes key, ms_bytes value, int64_t timestamp) {
    ms_cache_put(&store->cache, key, value, timestamp);
}

void ms_store_put_many(ms_store *store, const ms_entry *entries, size_t count) {
    for (size_t index = 0; index < count; index++) {
        ms_cache_put(&store->cache, entries[index].key, entries[index].value, entries[index].timestamp);
    }
}

ms_bytes ms_store_put_if_absent(ms_store *store, ms_bytes key, ms_bytes value) {
    ms_bytes found = ms_store_get(store, key);
    if (ms_is_null(found)) {
        ms_store_put(store, key, value);
    }
    return found;
}

ms_bytes ms_store_delete(ms_store *store, ms_bytes key) {
    ms_bytes found = ms_store_get(store, key);
    if (!ms_is_null(found)) {
        ms_store_put(store, key, MS_NULL);
    }
    return found;
}

uint64_t ms_store_approximate_entries(ms_store *store) {
    ms_cache_write_back(&store->cache);
    return ms_import_approximate_entries(store->cache.handle);
}

/* === Reading ahead === */

struct ms_wanted {
    ms_cache *cache;
};

void ms_want(ms_wanted *wanted, ms_bytes key) { ms_cache_want(wanted->cache, key); }

void ms_read_ahead(ms_store *store) { ms_read_ahead_of(store, NULL); }

void ms_read_ahead_of(ms_store *store, ms_choose_keys choose) {
    store->reads_ahead = true;
    store->choose = choose;
}

void ms_store_begin_batch(ms_store *store, ms_batch *batch) {
    /* For one record a read ahead is a read too many. */
    if (!store->reads_ahead || batch->length < 2) {
        return;
    }
    ms_wanted wanted = {&store->cache};
    for (size_t row = 0; row < batch->length; row++) {
        ms_record record = ms_batch_record(batch, row);
        if (store->choose != NULL) {
            store->choose(&record, &wanted);
        } else if (!ms_is_null(record.key)) {
            ms_cache_want(&store->cache, record.key);
        }
    }
    ms_cache_read_wanted(&store->cache);
}

/* === Walks === */

struct ms_cursor {
    ms_store *store;
    uint32_t handle;
    ms_entries_columns page;
    size_t index, count;
    ms_cursor *next;
};

static ms_cursor *open(ms_store *store, uint32_t handle) {
    ms_cursor *cursor = ms_malloc(sizeof *cursor);
    *cursor = (ms_cursor){.store = store, .handle = handle, .next = store->context->cursors};
    store->context->cursors = cursor;
    return cursor;
}

ms_cursor *ms_store_range(ms_store *store, ms_bytes lowest, ms_bytes highest, ms_order order) {
    ms_cache_write_back(&store->cache);
    return open(store, ms_import_range(store->cache.handle, !ms_is_null(lowest), lowest.data, lowest.length,
                                       !ms_is_null(highest), highest.data, highest.length, order));
}

ms_cursor *ms_store_prefix(ms_store *store, ms_bytes prefix, ms_order order) {
    ms_cache_write_back(&store->cache);
    return open(store, ms_import_prefix(store->cache.handle, prefix.data, prefix.length, order));
}

static ms_bytes part(ms_list_ column, ms_list_ ends, size_t index) {
    uint32_t start = index == 0 ? 0 : ms_number_at(ends.data, index - 1), end = ms_number_at(ends.data, index);
    return start == end ? ms_string("") : ms_bytes_of((const char *)column.data + start, end - start);
}

bool ms_cursor_next(ms_cursor *cursor, ms_entry *entry) {
    if (cursor->index == cursor->count) {
        ms_cache_write_back(&cursor->store->cache);
        MS_HANDED_OVER(ms_import_cursor_next(cursor->handle, 0, &cursor->page));
        cursor->index = 0;
        cursor->count = cursor->page.key_ends.length / sizeof(uint32_t);
        if (cursor->count == 0) {
            ms_cursor_close(cursor);
            return false;
        }
    }
    size_t index = cursor->index++;
    entry->key = part(cursor->page.keys, cursor->page.key_ends, index);
    entry->value = part(cursor->page.values, cursor->page.value_ends, index);
    memcpy(&entry->timestamp, (const char *)cursor->page.timestamps.data + index * sizeof entry->timestamp,
           sizeof entry->timestamp);
    return true;
}

void ms_cursor_close(ms_cursor *cursor) {
    ms_cursor **place = &cursor->store->context->cursors;
    while (*place != cursor) {
        place = &(*place)->next;
    }
    *place = cursor->next;
    ms_import_cursor_drop(cursor->handle);
    free(cursor);
}

void ms_close_cursors(ms_context *context) {
    while (context->cursors != NULL) {
        ms_cursor_close(context->cursors);
    }
}

/* === Opening === */

static ms_status refused(ms_context *context, const char *name, const ms_open_answer *answer) {
    switch (answer->of.error.number) {
        case 0:
            return ms_fatal(context, "there is no store `%s`: declare it in the manifest", name);
        case 1:
            return ms_fatal(context, "store `%s` isn't among the `stores` of this node: add it there", name);
        default:
            return ms_fatal(context, "store `%s` can't be opened: %.*s", name, (int)answer->of.error.reason.length,
                            (const char *)answer->of.error.reason.data);
    }
}

ms_status ms_open(ms_context *context, const char *name, ms_store **store) {
    for (*store = context->stores; *store != NULL; *store = (*store)->next) {
        if (strcmp((*store)->name, name) == 0) {
            return MS_OK;
        }
    }
    ms_open_answer answer;
    MS_HANDED_OVER(ms_import_open(name, strlen(name), &answer));
    if (answer.is_error) {
        return refused(context, name, &answer);
    }
    char *kept = ms_arena_take(&context->setup, strlen(name) + 1);
    strcpy(kept, name);
    *store = ms_arena_take(&context->setup, sizeof **store);
    **store = (ms_store){.context = context, .name = kept, .cache = {.handle = answer.of.store}, .next = context->stores};
    context->stores = *store;
    return MS_OK;
}

ms_status ms_open_store(const ms_setup *setup, const char *name, ms_store **store) {
    return ms_open(setup->context, name, store);
}
