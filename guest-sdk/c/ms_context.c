/* What a processor can do besides reading and writing stores, and how failures are noted. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ms_internal.h"

/* === Failures === */

static ms_status fail(ms_context *context, ms_status status, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *reason = ms_arena_take(&context->reasons, length < 0 ? 1 : (size_t)length + 1);
    reason[0] = '\0';
    vsnprintf(reason, length < 0 ? 1 : (size_t)length + 1, format, arguments);
    context->reason = reason;
    return status;
}

#define MS_FAILURE(name, status)                                         \
    ms_status name(ms_context *context, const char *format, ...) {       \
        va_list arguments;                                               \
        va_start(arguments, format);                                     \
        fail(context, status, format, arguments);                        \
        va_end(arguments);                                               \
        return status;                                                   \
    }

MS_FAILURE(ms_skip, MS_SKIP)
MS_FAILURE(ms_dead_letter, MS_DEAD_LETTER)
MS_FAILURE(ms_retry, MS_RETRY)
MS_FAILURE(ms_fatal, MS_FATAL)

ms_status ms_as(ms_context *context, ms_status status) {
    (void)context;
    return status;
}

const char *ms_reason(const ms_context *context) {
    return context->reason == NULL ? "the plugin gives no reason" : context->reason;
}

uint8_t ms_reaction_of(ms_status status) {
    switch (status) {
        case MS_SKIP:
            return 0;
        case MS_DEAD_LETTER:
            return 1;
        case MS_RETRY:
            return 2;
        default:
            return 3;
    }
}

/* === Log === */

/* The longest line that is formatted; the host cuts at 8 KiB. */
enum { LINE_BYTES_MAX = 8 * 1024 + 1 };

static void log_line(ms_level level, const char *format, va_list arguments) {
    static char line[LINE_BYTES_MAX];
    int length = vsnprintf(line, sizeof line, format, arguments);
    size_t written = length < 0 ? 0 : (size_t)length;
    if (written >= sizeof line) {
        written = sizeof line - 1;
        /* Not within a character. */
        while (written > 0 && ((uint8_t)line[written] & 0xc0) == 0x80) {
            written--;
        }
    }
    if (!ms_read_text(ms_bytes_of(line, written))) {
        for (size_t at = 0; at < written; at++) {
            line[at] = (uint8_t)line[at] < 0x80 ? line[at] : '?';
        }
    }
    ms_import_log((uint32_t)level, line, written);
}

void ms_log(ms_level level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(level, format, arguments);
    va_end(arguments);
}

MS_NORETURN_ void ms_panic(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_line(MS_ERROR, format, arguments);
    va_end(arguments);
    abort();
}

/* === Forwarding, time, metadata === */

void ms_forward(ms_context *context, const ms_record *record) {
    ms_output_push(&context->output, MS_ALL_CHILDREN, record, context->row);
}

void ms_forward_to(ms_context *context, ms_child child, const ms_record *record) {
    ms_output_push(&context->output, child.index, record, context->row);
}

static uint32_t row_or_zero(const ms_context *context) { return context->row == MS_NO_ROW ? 0 : context->row; }

int64_t ms_stream_time(ms_context *context) { return ms_import_stream_time(row_or_zero(context)); }

int64_t ms_wall_clock_time(ms_context *context) {
    (void)context;
    return ms_import_wall_clock_time();
}

bool ms_get_metadata(ms_context *context, ms_metadata *metadata) {
    ms_metadata_answer answer;
    MS_HANDED_OVER(ms_import_metadata(row_or_zero(context), &answer));
    if (!answer.is_some) {
        return false;
    }
    metadata->topic = ms_bytes_of(answer.metadata.topic.length == 0 ? "" : answer.metadata.topic.data, answer.metadata.topic.length);
    metadata->partition = answer.metadata.partition;
    metadata->offset = answer.metadata.offset;
    return true;
}

void ms_commit(ms_context *context) {
    (void)context;
    ms_import_commit();
}

/* === Punctuations === */

static ms_status scheduled(ms_context *context, const ms_schedule_answer *answer, ms_punctuator punctuator, void *argument,
                           ms_punctuation *punctuation) {
    if (answer->is_error) {
        return ms_fatal(context, "%.*s", (int)answer->of.reason.length, (const char *)answer->of.reason.data);
    }
    ms_scheduled entry = {answer->of.id, punctuator, argument};
    ms_push(&context->punctuators, &entry, sizeof entry);
    if (punctuation != NULL) {
        punctuation->id = answer->of.id;
    }
    return MS_OK;
}

ms_status ms_schedule(ms_context *context, uint64_t interval_ms, ms_punctuation_type type, ms_punctuator punctuator,
                      void *argument, ms_punctuation *punctuation) {
    ms_schedule_answer answer;
    MS_HANDED_OVER(ms_import_schedule(interval_ms, type, &answer));
    return scheduled(context, &answer, punctuator, argument, punctuation);
}

ms_status ms_schedule_at(ms_context *context, int64_t start, uint64_t interval_ms, ms_punctuation_type type,
                         ms_punctuator punctuator, void *argument, ms_punctuation *punctuation) {
    ms_schedule_answer answer;
    MS_HANDED_OVER(ms_import_schedule_at(start, interval_ms, type, &answer));
    return scheduled(context, &answer, punctuator, argument, punctuation);
}

const ms_scheduled *ms_find_scheduled(ms_context *context, uint32_t id) {
    ms_scheduled *entries = (ms_scheduled *)(void *)context->punctuators.data;
    for (size_t index = 0; index < context->punctuators.length / sizeof *entries; index++) {
        if (entries[index].id == id) {
            return &entries[index];
        }
    }
    return NULL;
}

void ms_cancel(ms_context *context, ms_punctuation punctuation) {
    ms_import_cancel(punctuation.id);
    ms_scheduled *found = (ms_scheduled *)ms_find_scheduled(context, punctuation.id);
    if (found != NULL) {
        ms_scheduled *end = (ms_scheduled *)(void *)(context->punctuators.data + context->punctuators.length);
        memmove(found, found + 1, (size_t)(end - found - 1) * sizeof *found);
        context->punctuators.length -= sizeof *found;
    }
}

/* === Setup === */

const char *ms_config(const ms_setup *setup, const char *key) {
    for (size_t index = 0; index < setup->config_count; index++) {
        if (strcmp(setup->config[index].key, key) == 0) {
            return setup->config[index].value;
        }
    }
    return NULL;
}

ms_status ms_required_config(const ms_setup *setup, const char *key, const char **value) {
    *value = ms_config(setup, key);
    if (*value == NULL) {
        return ms_fatal(setup->context, "the node's setting `%s` is missing: give it in `config`", key);
    }
    return MS_OK;
}

ms_status ms_find_child(const ms_setup *setup, const char *name, ms_child *child) {
    ms_child_answer answer;
    ms_import_child(name, strlen(name), &answer);
    if (!answer.is_some) {
        return ms_fatal(setup->context, "there is no child `%s`: name one of the node's children as input", name);
    }
    child->index = answer.index;
    return MS_OK;
}

/* === Records, batches and punctuations === */

static void begin_record(ms_context *context, uint32_t row, int64_t timestamp) {
    context->row = row;
    context->timestamp = timestamp;
    context->reason = NULL;
    ms_arena_empty(&context->scratch);
    for (ms_store *store = context->stores; store != NULL; store = store->next) {
        ms_cache_begin_record(&store->cache);
    }
}

static void take_back_stores(ms_context *context) {
    for (ms_store *store = context->stores; store != NULL; store = store->next) {
        ms_cache_take_back(&store->cache);
    }
}

void ms_begin_row(ms_context *context, const ms_batch *batch, size_t row) {
    begin_record(context, (uint32_t)row, batch->timestamps[row]);
}

bool ms_end_row(ms_context *context, ms_status status) {
    if (status == MS_OK) {
        ms_output_hand_over_when_large(&context->output);
        return true;
    }
    ms_output_take_back(&context->output, context->row);
    take_back_stores(context);
    const char *reason = ms_reason(context);
    ms_failure failure = {context->row, ms_reaction_of(status), {reason, strlen(reason)}};
    ms_push(&context->failures, &failure, sizeof failure);
    return status == MS_SKIP || status == MS_DEAD_LETTER;
}

void ms_begin_batch(ms_context *context, ms_batch *batch) {
    context->output.sequenced = batch->length == 1;
    context->output.input = *batch;
    for (ms_store *store = context->stores; store != NULL; store = store->next) {
        ms_store_begin_batch(store, batch);
    }
}

void ms_begin_punctuation(ms_context *context, int64_t timestamp) {
    context->output.sequenced = true;
    begin_record(context, MS_NO_ROW, timestamp);
}

void ms_take_back_punctuation(ms_context *context) {
    ms_output_clear(&context->output);
    take_back_stores(context);
}

void ms_end_call(ms_context *context) {
    ms_close_cursors(context);
    for (ms_store *store = context->stores; store != NULL; store = store->next) {
        ms_cache_end(&store->cache);
    }
    ms_output_hand_over(&context->output);
    context->output.input = (ms_batch){0};
    context->row = MS_NO_ROW;
}
