/* The processors that bench/ measures, in C. */

#include "millstream.h"

static ms_status identity(void *state, const ms_record *record, ms_context *context) {
    (void)state;
    ms_forward(context, record);
    return MS_OK;
}

struct count {
    ms_store *counts;
};

static ms_status begin_count(void *state, ms_setup *setup) {
    struct count *self = state;
    MS_TRY(ms_open_store(setup, "counts", &self->counts));
    ms_read_ahead(self->counts);
    return MS_OK;
}

static ms_status count(void *state, const ms_record *record, ms_context *context) {
    struct count *self = state;
    if (ms_is_null(record->key)) {
        return ms_skip(context, "the record has no key");
    }
    int64_t number = 0;
    ms_bytes before = ms_store_get(self->counts, record->key);
    if (!ms_is_null(before) && !ms_read_int64(before, &number)) {
        return ms_fatal(context, "the store holds no number for the key");
    }
    ms_record counted = *record;
    counted.value = ms_int64(context, number + 1);
    ms_store_put(self->counts, record->key, counted.value);
    ms_forward(context, &counted);
    return MS_OK;
}

MS_PROCESSORS({.name = "identity", .process = identity},
              {.name = "count", .state_size = sizeof(struct count), .init = begin_count, .process = count})
