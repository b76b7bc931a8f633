/* Memory that is given out from the front and taken back all at once, and lists that grow. */

#ifndef MS_MEMORY_H
#define MS_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Memory that is given out from the front. What it gives stays where it is until the arena is emptied. */
typedef struct ms_arena {
    struct ms_block *blocks;
} ms_arena;

/* Memory aligned for anything; never NULL. */
void *ms_arena_take(ms_arena *arena, size_t size);

/* Takes everything back. Keeps a block, unless it is a large one. */
void ms_arena_empty(ms_arena *arena);

/* Gives everything back. */
void ms_arena_free(ms_arena *arena);

/* Bytes that grow. When they do they may move. */
typedef struct ms_buffer {
    char *data;
    size_t length, capacity;
} ms_buffer;

/* Makes room for more at the end, and returns where it is. */
char *ms_buffer_grow(ms_buffer *buffer, size_t by);

/* Removes everything; keeps the memory, unless it is much. */
void ms_buffer_clear(ms_buffer *buffer);

/* malloc that ends the instance when there is no memory. */
void *ms_malloc(size_t size);

#endif
