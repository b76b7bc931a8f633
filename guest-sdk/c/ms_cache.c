/* What a call has read and written of a store. */

#include <stdlib.h>

#include "ms_internal.h"

/* Past this many entries memory is given back after the call. */
enum { KEPT_ENTRIES_MAX = 16 * 1024 };

static ms_cache_entry *entries(const ms_cache *cache) { return (ms_cache_entry *)(void *)cache->entries.data; }

static size_t entries_count(const ms_cache *cache) { return cache->entries.length / sizeof(ms_cache_entry); }

static ms_replaced *journal(const ms_cache *cache) { return (ms_replaced *)(void *)cache->journal.data; }

static size_t journal_count(const ms_cache *cache) { return cache->journal.length / sizeof(ms_replaced); }

void ms_cache_begin_record(ms_cache *cache) { cache->journal.length = 0; }

static uint32_t hash_of(ms_bytes key) {
    const char *data = key.data;
    size_t rest = key.length;
    uint64_t word, hash = rest * 0x9e3779b97f4a7c15u;
    for (; rest >= sizeof word; rest -= sizeof word, data += sizeof word) {
        memcpy(&word, data, sizeof word);
        hash ^= word;
        hash = (hash << 29 | hash >> 35) * 0xbf58476d1ce4e5b9u;
    }
    word = 0;
    for (size_t at = 0; at < rest; at++) {
        word = word << 8 | (uint8_t)data[at];
    }
    hash = (hash ^ word) * 0x94d049bb133111ebu;
    return (uint32_t)(hash >> 32) ^ (uint32_t)hash;
}

static void grow_table(ms_cache *cache) {
    free(cache->table);
    cache->table_size = cache->table_size == 0 ? 16 : 2 * cache->table_size;
    cache->table = ms_malloc(cache->table_size * sizeof *cache->table);
    memset(cache->table, 0, cache->table_size * sizeof *cache->table);
    uint32_t mask = (uint32_t)cache->table_size - 1;
    for (size_t index = 0; index < entries_count(cache); index++) {
        ms_cache_entry *entry = &entries(cache)[index];
        uint32_t slot = entry->hash & mask;
        while (cache->table[slot] != 0) {
            slot = (slot + 1) & mask;
        }
        cache->table[slot] = (uint32_t)index + 1;
        entry->slot = slot;
    }
}

static ms_bytes copy(ms_cache *cache, ms_bytes bytes) {
    if (bytes.length == 0) {
        return ms_string("");
    }
    char *data = ms_arena_take(&cache->bytes, bytes.length);
    memcpy(data, bytes.data, bytes.length);
    return (ms_bytes){data, bytes.length};
}

/* Finds the entry of a key, or makes one of which nothing is known. */
static uint32_t entry_of(ms_cache *cache, ms_bytes key) {
    if (cache->table_size < 2 * (entries_count(cache) + 1)) {
        grow_table(cache);
    }
    uint32_t hash = hash_of(key), mask = (uint32_t)cache->table_size - 1, slot = hash & mask;
    for (; cache->table[slot] != 0; slot = (slot + 1) & mask) {
        const ms_cache_entry *entry = &entries(cache)[cache->table[slot] - 1];
        if (entry->hash == hash && entry->key.length == key.length && memcmp(entry->key.data, key.data, key.length) == 0) {
            return cache->table[slot] - 1;
        }
    }
    ms_cache_entry entry = {.key = copy(cache, key), .hash = hash, .slot = slot};
    ms_push(&cache->entries, &entry, sizeof entry);
    cache->table[slot] = (uint32_t)entries_count(cache);
    return cache->table[slot] - 1;
}

static ms_state state_of(bool is_there, const void *value, size_t length, int64_t timestamp) {
    if (!is_there) {
        return (ms_state){.value = MS_NULL, .timestamp = -1, .known = MS_KNOWN_ABSENT};
    }
    return (ms_state){.value = ms_bytes_of(length == 0 ? "" : value, length), .timestamp = timestamp, .known = MS_KNOWN_PRESENT};
}

const ms_state *ms_cache_get(ms_cache *cache, ms_bytes key) {
    /* First the entry: it may move all of them. */
    uint32_t index = entry_of(cache, key);
    ms_state *state = &entries(cache)[index].state;
    if (state->known == MS_KNOWN_NOTHING) {
        ms_stored_answer answer;
        MS_HANDED_OVER(ms_import_get(cache->handle, key.data, key.length, &answer));
        *state = state_of(answer.is_some, answer.stored.value.data, answer.stored.value.length, answer.stored.timestamp);
    }
    return state;
}

void ms_cache_put(ms_cache *cache, ms_bytes key, ms_bytes value, int64_t timestamp) {
    uint32_t index = entry_of(cache, key);
    ms_state written = {.value = MS_NULL, .timestamp = timestamp, .known = MS_KNOWN_ABSENT, .is_dirty = true};
    if (!ms_is_null(value)) {
        written.known = MS_KNOWN_PRESENT;
        written.value = copy(cache, value);
    }
    ms_state *state = &entries(cache)[index].state;
    ms_push(&cache->journal, &(ms_replaced){index, *state}, sizeof(ms_replaced));
    if (!state->is_dirty) {
        ms_push_number(&cache->dirty, index);
    }
    *state = written;
}

void ms_cache_want(ms_cache *cache, ms_bytes key) {
    uint32_t index = entry_of(cache, key);
    ms_cache_entry *entry = &entries(cache)[index];
    if (entry->state.known == MS_KNOWN_NOTHING && !entry->is_wanted) {
        entry->is_wanted = true;
        ms_push_number(&cache->wanted, index);
    }
}

/* Reads entries from the host. What is known of each goes to where `place` says. */
static void read_many(ms_cache *cache, const uint32_t *wanted, size_t count, ms_state *(*place)(ms_cache *, size_t, uint32_t)) {
    if (count == 0) {
        return;
    }
    cache->keys.length = cache->key_ends.length = 0;
    for (size_t position = 0; position < count; position++) {
        ms_bytes key = entries(cache)[wanted[position]].key;
        ms_push(&cache->keys, key.data, key.length);
        ms_push_number(&cache->key_ends, (uint32_t)cache->keys.length);
    }
    ms_values_columns found;
    MS_HANDED_OVER(ms_import_get_many(cache->handle, cache->keys.data, cache->keys.length, cache->key_ends.data,
                                      cache->key_ends.length, &found));
    uint32_t start = 0;
    for (size_t position = 0; position < count; position++) {
        uint32_t end = ms_number_at(found.value_ends.data, position);
        bool is_there = found.nulls.length == 0 || ((const uint8_t *)found.nulls.data)[position] == 0;
        int64_t timestamp;
        memcpy(&timestamp, (const char *)found.timestamps.data + position * sizeof timestamp, sizeof timestamp);
        *place(cache, position, wanted[position]) =
            state_of(is_there, (const char *)found.values.data + start, end - start, timestamp);
        start = end;
    }
}

static ms_state *place_of_wanted(ms_cache *cache, size_t position, uint32_t index) {
    (void)position;
    ms_cache_entry *entry = &entries(cache)[index];
    entry->is_wanted = false;
    return &entry->state;
}

void ms_cache_read_wanted(ms_cache *cache) {
    read_many(cache, (const uint32_t *)(void *)cache->wanted.data, cache->wanted.length / sizeof(uint32_t), place_of_wanted);
    cache->wanted.length = 0;
}

/* The `position`th entry of the journal of which nothing is known: those before it have been learnt, so it is the first. */
static ms_state *place_of_replaced(ms_cache *cache, size_t position, uint32_t index) {
    (void)position;
    (void)index;
    ms_replaced *replaced = journal(cache);
    while (replaced->state.known != MS_KNOWN_NOTHING) {
        replaced++;
    }
    return &replaced->state;
}

/* Reads what the current record replaced without having read it, so that it can be taken back after the host has the new
 * value. */
static void learn_replaced(ms_cache *cache) {
    for (size_t position = 0; position < journal_count(cache); position++) {
        if (journal(cache)[position].state.known == MS_KNOWN_NOTHING) {
            ms_push_number(&cache->wanted, journal(cache)[position].entry);
        }
    }
    read_many(cache, (const uint32_t *)(void *)cache->wanted.data, cache->wanted.length / sizeof(uint32_t), place_of_replaced);
    cache->wanted.length = 0;
}

static void push_entry(ms_cache *cache, const ms_cache_entry *entry) {
    ms_bytes value = entry->state.value;
    int64_t timestamp = entry->state.timestamp < 0 ? 0 : entry->state.timestamp;
    ms_push(&cache->keys, entry->key.data, entry->key.length);
    ms_push_number(&cache->key_ends, (uint32_t)cache->keys.length);
    ms_push(&cache->values, value.data, value.length);
    ms_push_number(&cache->value_ends, (uint32_t)cache->values.length);
    *ms_buffer_grow(&cache->nulls, 1) = ms_is_null(value);
    ms_push(&cache->timestamps, &timestamp, sizeof timestamp);
}

void ms_cache_write_back(ms_cache *cache) {
    if (cache->dirty.length == 0) {
        return;
    }
    learn_replaced(cache);
    cache->keys.length = cache->key_ends.length = cache->values.length = cache->value_ends.length = 0;
    cache->nulls.length = cache->timestamps.length = 0;
    for (size_t position = 0; position < cache->dirty.length / sizeof(uint32_t); position++) {
        ms_cache_entry *entry = &entries(cache)[ms_number_at(cache->dirty.data, position)];
        if (entry->state.is_dirty) {
            push_entry(cache, entry);
            entry->state.is_dirty = false;
        }
    }
    cache->dirty.length = 0;
    if (cache->nulls.length > 0) {
        ms_import_put_many(cache->handle, cache->keys.data, cache->keys.length, cache->key_ends.data, cache->key_ends.length,
                           cache->values.data, cache->values.length, cache->value_ends.data, cache->value_ends.length,
                           cache->nulls.data, cache->nulls.length, cache->timestamps.data, cache->timestamps.length);
    }
    /* What the record replaced is no longer what the host has: undoing makes the entry dirty. */
    for (size_t position = 0; position < journal_count(cache); position++) {
        journal(cache)[position].state.is_dirty = true;
    }
}

void ms_cache_take_back(ms_cache *cache) {
    for (size_t position = journal_count(cache); position > 0; position--) {
        const ms_replaced *undone = &journal(cache)[position - 1];
        entries(cache)[undone->entry].state = undone->state;
        if (undone->state.is_dirty) {
            ms_push_number(&cache->dirty, undone->entry);
        }
    }
    cache->journal.length = 0;
}

enum { BUFFERS = 10 };

static void buffers_of(ms_cache *cache, ms_buffer *buffers[BUFFERS]) {
    ms_buffer *all[BUFFERS] = {&cache->entries, &cache->wanted, &cache->dirty,      &cache->journal, &cache->keys,
                               &cache->key_ends, &cache->values, &cache->value_ends, &cache->nulls,   &cache->timestamps};
    memcpy(buffers, all, sizeof all);
}

void ms_cache_end(ms_cache *cache) {
    ms_cache_begin_record(cache);
    ms_cache_write_back(cache);
    if (entries_count(cache) > KEPT_ENTRIES_MAX) {
        free(cache->table);
        cache->table = NULL;
        cache->table_size = 0;
    } else {
        for (size_t index = 0; index < entries_count(cache); index++) {
            cache->table[entries(cache)[index].slot] = 0;
        }
    }
    ms_arena_empty(&cache->bytes);
    ms_buffer *buffers[BUFFERS];
    buffers_of(cache, buffers);
    for (size_t index = 0; index < BUFFERS; index++) {
        ms_buffer_clear(buffers[index]);
    }
}

void ms_cache_free(ms_cache *cache) {
    ms_buffer *buffers[BUFFERS];
    buffers_of(cache, buffers);
    for (size_t index = 0; index < BUFFERS; index++) {
        free(buffers[index]->data);
    }
    free(cache->table);
    ms_arena_free(&cache->bytes);
}
