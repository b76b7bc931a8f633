/* The processor `do`: it carries out the command in a record's key. */

#include <stdio.h>
#include <stdlib.h>

#include "conformance.h"

int64_t number_of(const char *word) { return strtoll(word, NULL, 10); }

static struct words split(ms_context *context, const char *command) {
    size_t room = WORDS_MIN;
    for (const char *at = command; *at != '\0'; at++) {
        room += *at == ' ';
    }
    struct words words = {1, ms_allocate(context, (room + 1) * sizeof *words.of)};
    char *rest = (char *)ms_c_string(context, ms_string(command));
    words.of[0] = rest;
    for (char *space = strchr(rest, ' '); space != NULL; space = strchr(space + 1, ' ')) {
        *space = '\0';
        words.of[words.count++] = space + 1;
    }
    for (size_t at = words.count; at <= room; at++) {
        words.of[at] = "";
    }
    return words;
}

static ms_bytes list(ms_context *context, const char *const *names, size_t count) {
    ms_bytes text = ms_string(count == 0 ? "-" : "");
    for (size_t at = 0; at < count; at++) {
        text = ms_format(context, "%.*s%s%s", (int)text.length, text.data, at == 0 ? "" : ",", names[at]);
    }
    return text;
}

static int by_name(const void *one, const void *other) { return strcmp(*(char *const *)one, *(char *const *)other); }

static const char *describe(const ms_setup *setup) {
    ms_context *context = setup->context;
    const char **settings = ms_allocate(context, (setup->config_count + 1) * sizeof *settings);
    for (size_t at = 0; at < setup->config_count; at++) {
        settings[at] = ms_format(context, "%s=%s", setup->config[at].key, setup->config[at].value).data;
    }
    qsort(settings, setup->config_count, sizeof *settings, by_name);
    ms_bytes about = ms_format(context, "%s %s %s %s %s %s", setup->processor, setup->node, setup->task,
                               list(context, setup->children, setup->children_count).data,
                               list(context, setup->stores, setup->stores_count).data,
                               list(context, settings, setup->config_count).data);
    return strdup(about.data);
}

static ms_bytes metadata(ms_context *context) {
    ms_metadata found = {0};
    ms_get_metadata(context, &found);
    return ms_format(context, "%.*s/%d/%lld", (int)found.topic.length, found.topic.data, (int)found.partition,
                     (long long)found.offset);
}

static const struct {
    const char *name;
    ms_status (*fail)(ms_context *context, const char *format, ...);
} reactions[] = {{"skip", ms_skip}, {"dead-letter", ms_dead_letter}, {"retry", ms_retry}, {"fatal", ms_fatal}};

/* === Punctuations === */

static ms_status strike(void *state, void *argument, int64_t timestamp, ms_context *context) {
    struct punctuation *self = argument;
    if (strncmp(self->name, "once", 4) == 0) {
        ms_cancel(context, self->scheduled);
    }
    ms_bytes now = ms_format(context, "%lld", (long long)timestamp);
    ms_store *plain = find_store(state, "plain");
    if (plain != NULL) {
        ms_store_put_at(plain, ms_string(self->name), now, timestamp);
    }
    ms_record record = {.key = ms_string(self->name), .timestamp = timestamp};
    record.value = ms_format(context, "%s %s %s", self->kind, now.data, metadata(context).data);
    ms_forward(context, &record);
    for (size_t at = 0; at < sizeof reactions / sizeof *reactions; at++) {
        if (strncmp(self->name, reactions[at].name, strlen(reactions[at].name)) == 0) {
            return reactions[at].fail(context, "%s", self->name);
        }
    }
    if (strncmp(self->name, "panic", 5) == 0) {
        ms_panic("boom: %s", self->name);
    }
    return MS_OK;
}

static ms_status schedule(struct commands *self, struct words words, ms_context *context) {
    bool is_wall_clock = is(words.of[2], "wall-clock-time");
    ms_punctuation_type type = is_wall_clock ? MS_WALL_CLOCK_TIME : MS_STREAM_TIME;
    struct punctuation *punctuation = malloc(sizeof *punctuation);
    *punctuation = (struct punctuation){strdup(words.of[1]), is_wall_clock ? "wall-clock-time" : "stream-time", {0}, self};
    if (is(words.of[0], "schedule-at")) {
        MS_TRY(ms_schedule_at(context, number_of(words.of[3]), (uint64_t)number_of(words.of[4]), type, strike, punctuation,
                              &punctuation->scheduled));
    } else {
        MS_TRY(ms_schedule(context, (uint64_t)number_of(words.of[3]), type, strike, punctuation, &punctuation->scheduled));
    }
    self->punctuations[self->punctuations_count++] = punctuation;
    return MS_OK;
}

static ms_status cancel(struct commands *self, const char *name, ms_context *context) {
    for (size_t at = self->punctuations_count; at > 0; at--) {
        if (is(self->punctuations[at - 1]->name, name)) {
            ms_cancel(context, self->punctuations[at - 1]->scheduled);
            return MS_OK;
        }
    }
    return ms_fatal(context, "there is no punctuation `%s`", name);
}

/* === Values and records === */

static ms_status view(const char *form, const ms_record *record, ms_context *context) {
    ms_bytes text, value = record->value;
    int64_t number;
    double fraction;
    ms_json *json;
    if (ms_is_null(record->value)) {
        ms_forward(context, record);
        return MS_OK;
    }
    if (is(form, "text")) {
        MS_TRY(ms_value_text(context, record, &text));
        char *louder = ms_allocate(context, text.length + 1);
        memcpy(louder, text.data, text.length);
        louder[text.length] = '!';
        value = ms_bytes_of(louder, text.length + 1);
    } else if (is(form, "double")) {
        MS_TRY(ms_value_float64(context, record, &fraction));
        value = ms_float64(context, -fraction);
    } else if (is(form, "json")) {
        MS_TRY(ms_value_json(context, record, &json));
        if (json->type != MS_JSON_OBJECT) {
            return ms_fatal(context, "the value is no JSON object");
        }
        ms_json_set(context, json, "seen", ms_json_bool(context, true));
        value = ms_write_json(context, json);
    } else {
        MS_TRY(ms_value_int64(context, record, &number));
        value = is(form, "long") ? ms_int64(context, ~number) : ms_format(context, "%lld", (long long)number);
    }
    answer(context, record, value);
    return MS_OK;
}

static void forward_headers(const ms_record *record, ms_context *context) {
    int count = 0;
    ms_headers rest = record->headers;
    for (ms_header header; ms_next_header(&rest, &header);) {
        count++;
    }
    ms_record changed = *record;
    changed.headers = ms_headers_without(context, record->headers, "drop");
    changed.headers = ms_headers_with(context, changed.headers, "count", ms_format(context, "%d", count));
    changed.headers = ms_headers_with(context, changed.headers, "nothing", MS_NULL);
    ms_forward(context, &changed);
}

static void forward_mixed(struct commands *self, const ms_record *record, ms_context *context) {
    ms_record changed = *record;
    changed.value = ms_string("1");
    ms_forward_to(context, (ms_child){0}, &changed);
    changed.value = ms_string("2");
    ms_forward(context, &changed);
    changed.value = ms_string("3");
    ms_forward_to(context, (ms_child){(uint32_t)self->copy.children_count - 1}, &changed);
}

static ms_status forward(struct commands *self, struct words words, const ms_record *record, ms_context *context) {
    ms_record changed = *record;
    const char *command = words.of[0];
    if (is(command, "headers")) {
        forward_headers(record, context);
        return MS_OK;
    }
    if (is(command, "mixed")) {
        forward_mixed(self, record, context);
        return MS_OK;
    }
    if (is(command, "flood")) {
        for (int64_t at = 0; at < number_of(words.of[1]); at++) {
            answer(context, record, ms_format(context, "%lld", (long long)at));
        }
        return MS_OK;
    }
    if (is(command, "to")) {
        ms_child child;
        self->copy.context = context;
        MS_TRY(ms_find_child(&self->copy, words.of[1], &child));
        ms_forward_to(context, child, record);
        return MS_OK;
    }
    if (is(command, "key")) {
        changed.key = ms_string(words.of[1]);
    } else if (is(command, "null-key")) {
        changed.key = MS_NULL;
    } else if (is(command, "null-value")) {
        changed.value = MS_NULL;
    } else if (is(command, "at")) {
        changed.timestamp = number_of(words.of[1]);
    } else if (is(command, "bare")) {
        changed.headers = (ms_headers){MS_NULL};
    } else if (is(command, "header")) {
        changed.value = ms_string("none");
        ms_last_header(record->headers, words.of[1], &changed.value);
    } else if (is(command, "nothing")) {
        return MS_OK;
    } else {
        return ms_fatal(context, "unknown command `%s`", command);
    }
    ms_forward(context, &changed);
    return MS_OK;
}

/* === Where, when, and the log === */

static bool tell(struct commands *self, struct words words, const ms_record *record, ms_context *context) {
    const char *command = words.of[0];
    int length = (int)record->value.length;
    if (is(command, "metadata")) {
        answer(context, record, metadata(context));
    } else if (is(command, "times")) {
        answer(context, record, ms_format(context, "%lld %lld", (long long)ms_stream_time(context),
                                          (long long)ms_wall_clock_time(context)));
    } else if (is(command, "setup")) {
        answer(context, record, ms_string(self->about));
    } else if (is(command, "remember")) {
        answer(context, record, ms_format(context, "%lld", (long long)++self->remembered));
    } else if (is(command, "commit")) {
        ms_commit(context);
        answer(context, record, ms_string("ok"));
    } else if (is(command, "log")) {
        static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
        for (int level = MS_TRACE; level <= MS_ERROR; level++) {
            if (is(words.of[1], levels[level])) {
                ms_log(level, "%.*s", length, record->value.data);
            }
        }
    } else if (is(command, "log-many")) {
        for (int64_t at = 0; at < number_of(words.of[1]); at++) {
            ms_log(MS_INFO, "%.*s", length, record->value.data);
        }
    } else if (is(command, "print") || is(command, "print-error")) {
        FILE *stream = is(command, "print") ? stdout : stderr;
        fprintf(stream, "%.*s\n", length, record->value.data);
        fflush(stream);
    } else {
        return false;
    }
    return true;
}

/* === What goes wrong === */

__attribute__((noinline)) static int64_t recurse(volatile int64_t depth) {
    if (depth < 0) {
        return 0;
    }
    volatile int64_t more = recurse(depth + 1);
    return more + depth;
}

static ms_status misbehave(struct commands *self, struct words words, const ms_record *record, ms_context *context) {
    const char *text = ms_c_string(context, record->value);
    ms_forward(context, record);
    ms_store *plain = find_store(self, "plain");
    if (plain != NULL) {
        ms_store_put(plain, ms_string("failed"), ms_string("1"));
    }
    if (is(words.of[0], "panic")) {
        ms_panic("boom: %s", text);
    }
    if (is(words.of[0], "retry-until")) {
        return ms_wall_clock_time(context) < number_of(words.of[1]) ? ms_retry(context, "not yet") : MS_OK;
    }
    if (is(words.of[0], "spin")) {
        for (volatile int round = 0;; round = !round) {
        }
    }
    if (is(words.of[0], "recurse")) {
        return ms_fatal(context, "depth %lld", (long long)recurse(0));
    }
    if (is(words.of[0], "hog")) {
        size_t size = (size_t)number_of(words.of[1]) << 20;
        volatile char *hoard = malloc(size);
        if (hoard == NULL) {
            ms_panic("out of memory: %zu bytes are wanted", size);
        }
        for (size_t at = 0; at < size; at++) {
            hoard[at] = 1;
        }
        answer(context, record, ms_string("ok"));
        return MS_OK;
    }
    for (size_t at = 0; at < sizeof reactions / sizeof *reactions; at++) {
        if (is(words.of[1], reactions[at].name)) {
            return reactions[at].fail(context, "%s", text);
        }
    }
    return ms_fatal(context, "unknown reaction `%s`", words.of[1]);
}

/* === Beginning and end === */

ms_status do_init(void *state, ms_setup *setup) {
    struct commands *self = state;
    const char *text = ms_config(setup, "panic-init");
    if (text != NULL) {
        ms_panic("boom: %s", text);
    }
    text = ms_config(setup, "fail-init");
    if (text != NULL) {
        return ms_fatal(setup->context, "%s", text);
    }
    self->copy = *setup;
    self->about = describe(setup);
    for (size_t at = 0; at < setup->stores_count && self->stores_count < STORES_MAX; at++) {
        MS_TRY(ms_open_store(setup, setup->stores[at], &self->stores[self->stores_count]));
        self->stores_count++;
    }
    text = ms_config(setup, "open");
    if (text != NULL) {
        ms_store *other;
        MS_TRY(ms_open_store(setup, text, &other));
    }
    text = ms_config(setup, "child");
    if (text != NULL) {
        ms_child child;
        MS_TRY(ms_find_child(setup, text, &child));
    }
    text = ms_config(setup, "schedule");
    if (text != NULL) {
        return schedule(self, split(setup->context, ms_format(setup->context, "schedule %s", text).data), setup->context);
    }
    return MS_OK;
}

void do_close(void *state) {
    (void)state;
    ms_log(MS_INFO, "closed");
}

static bool is_one_of(const char *word, const char *const *others, size_t count) {
    for (size_t at = 0; at < count; at++) {
        if (is(word, others[at])) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(word, ...) is_one_of(word, (const char *const[]){__VA_ARGS__}, sizeof(const char *[]){__VA_ARGS__} / sizeof(char *))

ms_status do_process(void *state, const ms_record *record, ms_context *context) {
    struct commands *self = state;
    ms_bytes command;
    if (ms_is_null(record->key)) {
        ms_forward(context, record);
        return MS_OK;
    }
    MS_TRY(ms_key_text(context, record, &command));
    struct words words = split(context, ms_c_string(context, command));
    if (IS_ONE_OF(words.of[0], "text", "long", "long-text", "double", "json")) {
        return view(words.of[0], record, context);
    }
    if (IS_ONE_OF(words.of[0], "schedule", "schedule-at")) {
        return schedule(self, words, context);
    }
    if (is(words.of[0], "cancel")) {
        return cancel(self, words.of[1], context);
    }
    if (IS_ONE_OF(words.of[0], "fail", "retry-until", "panic", "spin", "recurse", "hog")) {
        return misbehave(self, words, record, context);
    }
    if (find_store(self, words.of[1]) != NULL && !IS_ONE_OF(words.of[0], "to", "key", "header", "log")) {
        return access_store(self, words, record, context);
    }
    return tell(self, words, record, context) ? MS_OK : forward(self, words, record, context);
}
