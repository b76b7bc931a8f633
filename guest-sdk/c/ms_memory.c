/* Memory that is given out from the front and taken back all at once, and lists that grow. */

#include "ms_memory.h"

#include <stdlib.h>
#include <string.h>

#include "millstream.h"

/* The least size of a block, and the size past which memory is given back. */
enum { BLOCK_BYTES_MIN = 64 * 1024, KEPT_BYTES_MAX = 4 * 1024 * 1024, ALIGNMENT = 16 };

struct ms_block {
    struct ms_block *next;
    size_t size, used;
    _Alignas(ALIGNMENT) char bytes[];
};

void *ms_malloc(size_t size) {
    void *memory = malloc(size == 0 ? 1 : size);
    if (memory == NULL) {
        ms_panic("out of memory: %zu bytes are wanted", size);
    }
    return memory;
}

void *ms_arena_take(ms_arena *arena, size_t size) {
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct ms_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size) {
        /* Each is twice as large as the one before, so that few are needed. */
        size_t wanted = block == NULL ? BLOCK_BYTES_MIN : 2 * block->size;
        if (wanted > KEPT_BYTES_MAX) {
            wanted = KEPT_BYTES_MAX;
        }
        if (wanted < size) {
            wanted = size;
        }
        block = ms_malloc(sizeof *block + wanted);
        *block = (struct ms_block){.next = arena->blocks, .size = wanted, .used = 0};
        arena->blocks = block;
    }
    void *found = block->bytes + block->used;
    block->used += size;
    return found;
}

void ms_arena_empty(ms_arena *arena) {
    struct ms_block *block = arena->blocks;
    if (block == NULL) {
        return;
    }
    if (block->next == NULL && block->size <= KEPT_BYTES_MAX) {
        block->used = 0;
        return;
    }
    /* One block in place of several: the newest that isn't large. */
    struct ms_block *kept = NULL;
    while (block != NULL) {
        struct ms_block *next = block->next;
        if (kept == NULL && block->size <= KEPT_BYTES_MAX) {
            kept = block;
        } else {
            free(block);
        }
        block = next;
    }
    arena->blocks = kept;
    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
    }
}

void ms_arena_free(ms_arena *arena) {
    while (arena->blocks != NULL) {
        struct ms_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}

char *ms_buffer_grow(ms_buffer *buffer, size_t by) {
    if (buffer->capacity - buffer->length < by) {
        size_t capacity = buffer->capacity == 0 ? 256 : 2 * buffer->capacity;
        if (capacity < buffer->length + by) {
            capacity = buffer->length + by;
        }
        char *data = realloc(buffer->data, capacity);
        if (data == NULL) {
            ms_panic("out of memory: %zu bytes are wanted", capacity);
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    char *end = buffer->data + buffer->length;
    buffer->length += by;
    return end;
}

void ms_buffer_clear(ms_buffer *buffer) {
    buffer->length = 0;
    if (buffer->capacity > KEPT_BYTES_MAX) {
        free(buffer->data);
        buffer->data = NULL;
        buffer->capacity = 0;
    }
}
