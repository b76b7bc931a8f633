/* The conformance plugin in C: what the suite in tests/tests/conformance asks of every language; its README says what each
 * processor and command does. */

#include "conformance.h"

void answer(ms_context *context, const ms_record *record, ms_bytes value) {
    ms_record changed = *record;
    changed.value = value;
    ms_forward(context, &changed);
}

static ms_status echo(void *state, const ms_record *record, ms_context *context) {
    (void)state;
    ms_forward(context, record);
    return MS_OK;
}

/* Answers the number of records in the batch. */
static void in_batches(void *state, ms_batch *batch, ms_context *context) {
    (void)state;
    for (size_t row = 0; row < batch->length; row++) {
        ms_begin_row(context, batch, row);
        ms_record record = ms_batch_record(batch, row);
        answer(context, &record, ms_format(context, "%zu", batch->length));
        if (!ms_end_row(context, MS_OK)) {
            return;
        }
    }
}

struct count {
    ms_store *counts;
};

static ms_status count_init(void *state, ms_setup *setup) {
    struct count *self = state;
    const char *name = ms_config(setup, "store");
    MS_TRY(ms_open_store(setup, name == NULL ? "plain" : name, &self->counts));
    ms_read_ahead(self->counts);
    return MS_OK;
}

static ms_status count(void *state, const ms_record *record, ms_context *context) {
    struct count *self = state;
    int64_t number = 0;
    if (ms_is_null(record->key)) {
        return MS_OK;
    }
    ms_bytes before = ms_store_get(self->counts, record->key);
    if (!ms_is_null(before) && !ms_read_int64(before, &number)) {
        return ms_fatal(context, "the store holds no count");
    }
    ms_bytes after = ms_int64(context, number + 1);
    ms_store_put(self->counts, record->key, after);
    answer(context, record, after);
    return MS_OK;
}

static ms_status is_even(const ms_record *record, ms_context *context, bool *is) {
    int64_t number;
    if (ms_is_null(record->value)) {
        return MS_OK;
    }
    MS_TRY(ms_value_int64(context, record, &number));
    *is = number % 2 == 0;
    return MS_OK;
}

static ms_status by_value(const ms_record *record, ms_context *context, ms_bytes *key) {
    (void)context;
    *key = record->value;
    return MS_OK;
}

MS_PROCESSORS({.name = "echo", .process = echo}, {.name = "batch", .process_batch = in_batches},
              {.name = "count", .state_size = sizeof(struct count), .init = count_init, .process = count},
              {.name = "do", .state_size = sizeof(struct commands), .init = do_init, .process = do_process, .close = do_close})
MS_PREDICATES({.name = "is-even", .test = is_even})
MS_KEY_SELECTORS({.name = "by-value", .select = by_value})
