/* A processor as the host calls it, and the exports of the contract by the canonical ABI. */

#include <stdlib.h>

#include "ms_internal.h"

/* === Running === */

ms_status ms_running_begin(ms_running *running, const ms_processor *processor, ms_setup *setup) {
    *running = (ms_running){.processor = processor, .context = {.row = MS_NO_ROW}};
    setup->context = &running->context;
    running->state = ms_arena_take(&running->context.setup, processor->state_size);
    memset(running->state, 0, processor->state_size);
    ms_status status = processor->init == NULL ? MS_OK : processor->init(running->state, setup);
    ms_arena_empty(&running->context.scratch);
    if (status == MS_OK) {
        ms_end_call(&running->context);
    }
    return status;
}

void ms_running_process(ms_running *running, ms_batch *batch) {
    ms_context *context = &running->context;
    context->failures.length = 0;
    ms_arena_empty(&context->reasons);
    context->reason = NULL;
    ms_begin_batch(context, batch);
    if (running->processor->process_batch != NULL) {
        running->processor->process_batch(running->state, batch, context);
    } else {
        for (size_t row = 0; row < batch->length; row++) {
            ms_record record = ms_batch_record(batch, row);
            ms_begin_row(context, batch, row);
            if (!ms_end_row(context, running->processor->process(running->state, &record, context))) {
                break;
            }
        }
    }
    ms_end_call(context);
}

ms_status ms_running_punctuate(ms_running *running, uint32_t id, int64_t timestamp) {
    ms_context *context = &running->context;
    const ms_scheduled *scheduled = ms_find_scheduled(context, id);
    if (scheduled == NULL) {
        return MS_OK;
    }
    ms_arena_empty(&context->reasons);
    context->reason = NULL;
    ms_begin_punctuation(context, timestamp);
    ms_status status = scheduled->punctuator(running->state, scheduled->argument, timestamp, context);
    if (status != MS_OK) {
        ms_take_back_punctuation(context);
    }
    ms_end_call(context);
    return status;
}

void ms_running_close(ms_running *running) {
    if (running->processor->close != NULL) {
        running->processor->close(running->state);
    }
}

void ms_running_free(ms_running *running) {
    ms_context *context = &running->context;
    ms_close_cursors(context);
    for (ms_store *store = context->stores; store != NULL; store = store->next) {
        ms_cache_free(&store->cache);
    }
    ms_output_free(&context->output);
    free(context->punctuators.data);
    free(context->failures.data);
    ms_arena_free(&context->scratch);
    ms_arena_free(&context->setup);
    ms_arena_free(&context->reasons);
}

/* === The memory that the host writes to === */

/* What the host has handed over, until the call returns. */
static ms_arena handed_over;

/* What the last call answered; the host has read it before it calls again. */
static ms_arena answers;

/* Static constructors may use the C library, hence false before the first export; what the host hands to that one is kept
 * for nothing. */
bool ms_host_hands_over = false;

#ifdef __wasm__
__attribute__((export_name("cabi_realloc"))) void *ms_realloc(void *old, size_t old_size, size_t align, size_t size) {
    /* Both kinds are aligned for anything. */
    (void)align;
    void *found = ms_host_hands_over ? ms_arena_take(&handed_over, size) : ms_malloc(size);
    if (old != NULL && old_size > 0) {
        memcpy(found, old, old_size < size ? old_size : size);
    }
    return found;
}
#endif

static void begin_export(void) { ms_host_hands_over = false; }

static void end_export(void) {
    ms_arena_empty(&handed_over);
    ms_host_hands_over = true;
}

static const char *kept_text(ms_context *context, const ms_list_ *text) {
    char *kept = ms_arena_take(&context->setup, text->length + 1);
    if (text->length > 0) {
        memcpy(kept, text->data, text->length);
    }
    kept[text->length] = '\0';
    return kept;
}

static const char *const *kept_texts(ms_context *context, ms_list_ list) {
    const ms_list_ *texts = list.data;
    const char **kept = ms_arena_take(&context->setup, list.length * sizeof *kept);
    for (size_t index = 0; index < list.length; index++) {
        kept[index] = kept_text(context, &texts[index]);
    }
    return kept;
}

static const ms_setting *kept_settings(ms_context *context, ms_list_ list) {
    const struct {
        ms_list_ key, value;
    } *pairs = list.data;
    ms_setting *kept = ms_arena_take(&context->setup, list.length * sizeof *kept);
    for (size_t index = 0; index < list.length; index++) {
        kept[index] = (ms_setting){kept_text(context, &pairs[index].key), kept_text(context, &pairs[index].value)};
    }
    return kept;
}

/* === Exports === */

/* The processor of this instance, and what keeps the texts of its setup. */
static ms_running instance;
static ms_context setup_texts;

void *ms_export_names_(const void *table, size_t size, size_t count) {
    begin_export();
    ms_arena_empty(&answers);
    ms_list_ *names = ms_arena_take(&answers, count * sizeof *names);
    for (size_t index = 0; index < count; index++) {
        /* Each kind of table begins with the name. */
        const char *name = *(const char *const *)(const void *)((const char *)table + index * size);
        names[index] = (ms_list_){name, strlen(name)};
    }
    ms_list_ *answer = ms_arena_take(&answers, sizeof *answer);
    *answer = (ms_list_){names, count};
    end_export();
    return answer;
}

/* result<_, string> */
typedef struct ms_init_answer {
    uint8_t is_error;
    ms_list_ reason;
} ms_init_answer;

void *ms_export_init_(const ms_processor *table, size_t count, const ms_setup_ *given) {
    static ms_init_answer answer;
    begin_export();
    ms_context *texts = &setup_texts;
    ms_setup setup = {
        .processor = kept_text(texts, &given->processor),
        .node = kept_text(texts, &given->node),
        .task = kept_text(texts, &given->task),
        .config = kept_settings(texts, given->config),
        .config_count = given->config.length,
        .children = kept_texts(texts, given->children),
        .children_count = given->children.length,
        .stores = kept_texts(texts, given->stores),
        .stores_count = given->stores.length,
    };
    const ms_processor *found = NULL;
    for (size_t index = 0; index < count; index++) {
        if (strcmp(table[index].name, setup.processor) == 0) {
            found = &table[index];
        }
    }
    ms_status status = found == NULL ? ms_fatal(&instance.context, "there is no processor `%s` in this plugin", setup.processor)
                                     : ms_running_begin(&instance, found, &setup);
    const char *reason = ms_reason(&instance.context);
    answer = (ms_init_answer){status != MS_OK, {reason, strlen(reason)}};
    end_export();
    return &answer;
}

void *ms_export_process_(const ms_columns_ *columns) {
    static ms_list_ answer;
    begin_export();
    ms_batch batch = ms_batch_of(columns);
    ms_running_process(&instance, &batch);
    end_export();
    answer = (ms_list_){instance.context.failures.data, instance.context.failures.length / sizeof(ms_failure)};
    return &answer;
}

/* result<_, reaction> */
typedef struct ms_punctuate_answer {
    uint8_t is_error;
    struct {
        uint8_t reaction;
        ms_list_ reason;
    } error;
} ms_punctuate_answer;

void *ms_export_punctuate_(uint32_t id, int64_t timestamp) {
    static ms_punctuate_answer answer;
    begin_export();
    ms_status status = ms_running_punctuate(&instance, id, timestamp);
    end_export();
    const char *reason = status == MS_OK ? "" : ms_reason(&instance.context);
    answer = (ms_punctuate_answer){status != MS_OK, {ms_reaction_of(status), {reason, strlen(reason)}}};
    return &answer;
}

void ms_export_close_(void) {
    begin_export();
    ms_running_close(&instance);
    end_export();
}

/* === Functions for native operators === */

static bool is_called(const char *name, ms_list_ function) {
    return strlen(name) == function.length && memcmp(name, function.data, function.length) == 0;
}

/* A context without host, for memory and reasons. */
static ms_context *function_context(void) {
    static ms_context context = {.row = MS_NO_ROW};
    ms_arena_empty(&answers);
    ms_arena_empty(&context.scratch);
    ms_arena_empty(&context.reasons);
    context.reason = NULL;
    return &context;
}

/* result<list<u8>, string> */
typedef struct ms_test_answer {
    uint8_t is_error;
    ms_list_ list;
} ms_test_answer;

void *ms_export_test_(const ms_predicate *table, size_t count, ms_list_ function, const ms_columns_ *columns) {
    static ms_test_answer answer;
    begin_export();
    ms_context *context = function_context();
    ms_batch batch = ms_batch_of(columns);
    const ms_predicate *found = NULL;
    for (size_t index = 0; index < count; index++) {
        if (is_called(table[index].name, function)) {
            found = &table[index];
        }
    }
    ms_status status = found == NULL ? ms_fatal(context, "there is no such predicate in this plugin") : MS_OK;
    uint8_t *is = ms_arena_take(&answers, batch.length);
    for (size_t row = 0; row < batch.length && status == MS_OK; row++) {
        ms_record record = ms_batch_record(&batch, row);
        bool yes = false;
        status = found->test(&record, context, &yes);
        is[row] = yes;
    }
    end_export();
    answer = (ms_test_answer){status != MS_OK, {is, batch.length}};
    if (status != MS_OK) {
        answer.list = (ms_list_){ms_reason(context), strlen(ms_reason(context))};
    }
    return &answer;
}

/* result<keys, string> */
typedef struct ms_select_answer {
    uint8_t is_error;
    ms_list_ keys_or_reason, key_ends, nulls;
} ms_select_answer;

void *ms_export_select_(const ms_key_selector *table, size_t count, ms_list_ function, const ms_columns_ *columns) {
    static ms_select_answer answer;
    static ms_buffer keys, key_ends, nulls;
    begin_export();
    ms_context *context = function_context();
    ms_batch batch = ms_batch_of(columns);
    ms_buffer_clear(&keys);
    ms_buffer_clear(&key_ends);
    ms_buffer_clear(&nulls);
    const ms_key_selector *found = NULL;
    for (size_t index = 0; index < count; index++) {
        if (is_called(table[index].name, function)) {
            found = &table[index];
        }
    }
    ms_status status = found == NULL ? ms_fatal(context, "there is no such key selector in this plugin") : MS_OK;
    for (size_t row = 0; row < batch.length && status == MS_OK; row++) {
        ms_record record = ms_batch_record(&batch, row);
        ms_bytes key = MS_NULL;
        ms_arena_empty(&context->scratch);
        status = found->select(&record, context, &key);
        ms_push(&keys, key.data, key.length);
        ms_push_number(&key_ends, (uint32_t)keys.length);
        *ms_buffer_grow(&nulls, 1) = ms_is_null(key);
    }
    end_export();
    answer = (ms_select_answer){
        status != MS_OK, {keys.data, keys.length}, {key_ends.data, key_ends.length}, {nulls.data, nulls.length}};
    if (status != MS_OK) {
        answer.keys_or_reason = (ms_list_){ms_reason(context), strlen(ms_reason(context))};
    }
    return &answer;
}
