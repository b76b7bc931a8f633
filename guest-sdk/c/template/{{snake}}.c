/* Says of each record how often its key has come. */

#include "millstream.h"

struct state {
    ms_store *seen;
};

static ms_status begin(void *state, ms_setup *setup) {
    struct state *self = state;
    MS_TRY(ms_open_store(setup, "seen", &self->seen));
    ms_read_ahead(self->seen);
    return MS_OK;
}

static ms_status process(void *state, const ms_record *record, ms_context *context) {
    struct state *self = state;
    ms_bytes key;
    MS_TRY(ms_key_text(context, record, &key));
    int64_t times = 0;
    ms_bytes before = ms_store_get(self->seen, key);
    if (!ms_is_null(before) && !ms_read_int64(before, &times)) {
        return ms_fatal(context, "the store holds something else than a number");
    }
    times++;
    ms_store_put(self->seen, key, ms_int64(context, times));
    ms_record told = *record;
    told.value = ms_format(context, "%.*s has come %lld times", (int)key.length, key.data, (long long)times);
    ms_forward(context, &told);
    return MS_OK;
}

MS_PROCESSORS({.name = "{{name}}", .state_size = sizeof(struct state), .init = begin, .process = process})
