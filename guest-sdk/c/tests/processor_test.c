/* Tests of the SDK, native: `make -C guest-sdk/c/tests`. */

#include "millstream_test.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "ms_internal.h"

/* Carries out the words of a record's value: `k=v` puts, `get`, `delete`, `all`, `other` and `fail` do what they say, with
 * the record's key; any other word is forwarded as it is. */
struct script {
    ms_store *store;
    ms_child other;
};

static ms_status script_init(void *state, ms_setup *setup) {
    struct script *self = state;
    MS_TRY(ms_open_store(setup, "store", &self->store));
    MS_TRY(ms_find_child(setup, "other", &self->other));
    ms_read_ahead(self->store);
    return MS_OK;
}

static void forward(const ms_record *record, ms_context *context, ms_bytes value) {
    ms_record changed = *record;
    changed.value = value;
    ms_forward(context, &changed);
}

static ms_status script_word(struct script *self, const char *word, const ms_record *record, ms_context *context) {
    char *equals = strchr(word, '=');
    if (strcmp(word, "get") == 0) {
        ms_bytes found = ms_store_get(self->store, record->key);
        forward(record, context, ms_is_null(found) ? ms_string("none") : found);
    } else if (strcmp(word, "delete") == 0) {
        ms_store_delete(self->store, record->key);
    } else if (strcmp(word, "all") == 0) {
        ms_bytes text = ms_string("");
        ms_cursor *cursor = ms_store_range(self->store, MS_NULL, MS_NULL, MS_ASCENDING);
        for (ms_entry entry; ms_cursor_next(cursor, &entry);) {
            text = ms_format(context, "%.*s%.*s%.*s,", (int)text.length, text.data, (int)entry.key.length, entry.key.data,
                             (int)entry.value.length, entry.value.data);
        }
        forward(record, context, text);
    } else if (strcmp(word, "other") == 0) {
        ms_forward_to(context, self->other, record);
    } else if (strcmp(word, "fail") == 0) {
        return ms_skip(context, "no");
    } else if (strcmp(word, "retry") == 0) {
        return ms_retry(context, "later");
    } else if (equals != NULL) {
        *equals = '\0';
        ms_store_put(self->store, ms_string(word), ms_string(equals + 1));
    } else {
        forward(record, context, ms_string(word));
    }
    return MS_OK;
}

static ms_status script(void *state, const ms_record *record, ms_context *context) {
    ms_bytes text;
    MS_TRY(ms_value_text(context, record, &text));
    for (char *word = strtok((char *)ms_c_string(context, text), " "); word != NULL; word = strtok(NULL, " ")) {
        MS_TRY(script_word(state, word, record, context));
    }
    return MS_OK;
}

static ms_status pass(void *state, const ms_record *record, ms_context *context) {
    (void)state;
    ms_forward(context, record);
    return MS_OK;
}

struct clock {
    ms_punctuation stream;
    int strikes;
};

static ms_status strike(void *state, void *argument, int64_t timestamp, ms_context *context) {
    struct clock *self = state;
    ms_record record = {.key = ms_string(argument), .value = ms_string(""), .timestamp = timestamp};
    ms_forward(context, &record);
    if (strcmp(argument, "wall") == 0) {
        ms_log(MS_INFO, "strike at %lld", (long long)timestamp);
        ms_commit(context);
        return ms_skip(context, "no");
    }
    if (++self->strikes == 2) {
        ms_cancel(context, self->stream);
    }
    return MS_OK;
}

static ms_status clock_init(void *state, ms_setup *setup) {
    struct clock *self = state;
    const char *gap;
    MS_TRY(ms_required_config(setup, "gap", &gap));
    MS_TRY(ms_schedule(setup->context, (uint64_t)atoi(gap), MS_STREAM_TIME, strike, "stream", &self->stream));
    assert(ms_schedule(setup->context, 0, MS_STREAM_TIME, strike, NULL, NULL) == MS_FATAL);
    return ms_schedule_at(setup->context, 1500, 1000, MS_WALL_CLOCK_TIME, strike, "wall", NULL);
}

static ms_status quiet(void *state, const ms_record *record, ms_context *context) {
    (void)state, (void)record, (void)context;
    return MS_OK;
}

/* Forwards the value, read as JSON and written with one more member. */
static ms_status json(void *state, const ms_record *record, ms_context *context) {
    ms_json *object;
    int64_t number = 0;
    (void)state;
    MS_TRY(ms_value_json(context, record, &object));
    ms_json_int64(ms_json_member(object, "n"), &number);
    ms_json_set(context, object, "more", ms_json_int(context, number + 1));
    forward(record, context, ms_write_json(context, object));
    return MS_OK;
}

/* A record that was kept, with its bytes, as nobody should outside of a test. */
static ms_record kept;

static ms_status strike_kept(void *state, void *argument, int64_t timestamp, ms_context *context) {
    (void)state, (void)argument, (void)timestamp;
    ms_forward(context, &kept);
    return MS_OK;
}

static ms_status reforward_init(void *state, ms_setup *setup) {
    (void)state;
    return ms_schedule(setup->context, 1000, MS_WALL_CLOCK_TIME, strike_kept, NULL, NULL);
}

static ms_bytes copy_of(ms_context *context, ms_bytes bytes) {
    return ms_is_null(bytes) ? MS_NULL : ms_bytes_of(ms_c_string(context, bytes), bytes.length);
}

/* Forwards what the value says; `kept` is of another row. */
static ms_status reforward(void *state, const ms_record *record, ms_context *context) {
    ms_record changed = *record;
    (void)state;
    changed.timestamp++;
    if (ms_equal(record->value, ms_string("key"))) {
        changed.key = ms_string("new");
    } else if (ms_equal(record->value, ms_string("value"))) {
        changed.value = ms_string("new");
    } else if (ms_equal(record->value, ms_string("no-key"))) {
        changed.key = MS_NULL;
    } else if (ms_equal(record->value, ms_string("no-value"))) {
        changed.value = MS_NULL;
    } else if (ms_equal(record->value, ms_string("equal"))) {
        changed.key = copy_of(context, record->key);
        changed.value = copy_of(context, record->value);
    } else if (ms_equal(record->value, ms_string("part"))) {
        changed.key.data++;
        changed.key.length--;
        changed.value.length--;
    } else if (ms_equal(record->value, ms_string("swapped"))) {
        changed.key = record->value;
        changed.value = record->key;
    } else if (ms_equal(record->value, ms_string("keep"))) {
        kept = *record;
        return MS_OK;
    } else if (ms_equal(record->value, ms_string("kept"))) {
        changed = kept;
    }
    ms_forward(context, &changed);
    return MS_OK;
}

MS_PROCESSORS({.name = "script", .state_size = sizeof(struct script), .init = script_init, .process = script},
              {.name = "pass", .process = pass},
              {.name = "clock", .state_size = sizeof(struct clock), .init = clock_init, .process = quiet},
              {.name = "json", .process = json},
              {.name = "reforward", .init = reforward_init, .process = reforward})

static ms_test *begin(const char *processor) {
    static const char *const children[] = {"child", "other"};
    ms_test *test = ms_test_new(processor);
    ms_test_with_store(test, "store");
    ms_test_with_children(test, children, 2);
    assert(ms_test_begin(test) == MS_OK);
    return test;
}

static ms_record record(const char *key, const char *value) {
    return (ms_record){.key = ms_string(key), .value = ms_string(value), .timestamp = 5};
}

/* What was forwarded, as one text. */
static const char *values(ms_test *test) {
    static char text[256];
    text[0] = '\0';
    for (size_t index = 0; index < ms_test_forwarded_count(test); index++) {
        ms_bytes value = ms_test_forwarded(test, index)->record.value;
        sprintf(text + strlen(text), "%.*s ", (int)value.length, value.data);
    }
    return text;
}

static void a_batch_and_single_records_give_the_same(void) {
    ms_record records[] = {record("a", "a=1 b=0 get"), record("b", "get b=2 all"), record("a", "delete all c=3"),
                           record("c", "get all"), record("a", "a=4 all")};
    const char *expected = "1 0 a1,b2, b2, 3 b2,c3, a4,b2,c3, ";
    ms_test *test = begin("script");
    for (size_t index = 0; index < sizeof records / sizeof *records; index++) {
        assert(ms_test_process(test, &records[index]) == MS_OK);
    }
    assert(strcmp(values(test), expected) == 0);
    ms_test_free(test);
    test = begin("script");
    assert(ms_test_process_batch(test, records, sizeof records / sizeof *records) == MS_OK);
    assert(strcmp(values(test), expected) == 0);
    assert(ms_equal(ms_test_stored(test, "store", ms_string("a")), ms_string("4")));
    ms_test_free(test);
}

static void what_a_failed_record_did_is_taken_back_even_after_a_scan(void) {
    const char *spoilers[] = {"a=9 new=9 x fail", "a=9 new=9 all fail", "a=9 all a=8 all new=7 fail", "delete all a=9 fail"};
    for (size_t index = 0; index < sizeof spoilers / sizeof *spoilers; index++) {
        ms_test *test = begin("script");
        ms_record records[] = {record("a", "a=1 b=2 x"), record("b", spoilers[index]), record("b", "delete all fail"),
                               record("c", "all")};
        assert(ms_test_process_batch(test, records, 4) == MS_SKIP);
        assert(ms_test_failures(test) == 2 && ms_test_failed_row(test, 0) == 1 && ms_test_failed_row(test, 1) == 2);
        assert(strcmp(values(test), "x a1,b2, ") == 0);
        assert(ms_is_null(ms_test_stored(test, "store", ms_string("new"))));
        assert(ms_equal(ms_test_stored(test, "store", ms_string("b")), ms_string("2")));
        ms_test_free(test);
    }
}

static void after_a_record_that_must_be_tried_again_no_other_is_processed(void) {
    ms_test *test = begin("script");
    ms_record records[] = {record("a", "a=1"), record("b", "b=2 retry"), record("c", "c=3")};
    assert(ms_test_process_batch(test, records, 3) == MS_RETRY && strcmp(ms_test_reason(test), "later") == 0);
    assert(!ms_is_null(ms_test_stored(test, "store", ms_string("a"))));
    assert(ms_is_null(ms_test_stored(test, "store", ms_string("b"))));
    assert(ms_is_null(ms_test_stored(test, "store", ms_string("c"))));
    ms_test_free(test);
}

static void a_batch_reads_ahead_and_writes_back_once(void) {
    ms_test *test = begin("script");
    ms_record records[100];
    for (size_t index = 0; index < 100; index++) {
        records[index] = record(index % 2 == 0 ? "even" : "odd", "get a=1 get");
    }
    assert(ms_test_process_batch(test, records, 100) == MS_OK);
    assert(ms_test_host_calls(test) == 3); /* get-many, put-many, forward */
    ms_test_free(test);
}

static void the_first_access_may_be_a_read(void) {
    ms_test *test = begin("script");
    char keys[300][8];
    for (int index = 0; index < 300; index++) {
        sprintf(keys[index], "%d", index);
        ms_record one = record(keys[index], "get x=1 get");
        assert(ms_test_process(test, &one) == MS_OK);
    }
    assert(ms_test_forwarded_count(test) == 600 && ms_equal(ms_test_forwarded(test, 599)->record.value, ms_string("none")));
    ms_test_free(test);
}

static void records_for_one_child_and_for_all_keep_their_order(void) {
    ms_test *test = begin("script");
    ms_record records[] = {record("1", "other"), record("2", "x"), record("3", "other other"), record("4", "x")};
    char keys[8] = "";
    assert(ms_test_process_batch(test, records, 4) == MS_OK);
    for (size_t index = 0; index < ms_test_forwarded_count(test); index++) {
        const ms_forwarded *one = ms_test_forwarded(test, index);
        if (one->child == NULL || strcmp(one->child, "other") == 0) {
            strncat(keys, one->record.key.data, one->record.key.length);
        }
    }
    assert(strcmp(keys, "12334") == 0);
    ms_test_free(test);
}

static void nulls_headers_and_timestamps_are_passed_along(void) {
    ms_test *test = begin("pass");
    const char packed[] = "\5\0\0\0trace\1\0\0\0" "1\4\0\0\0null\xff\xff\xff\xff";
    ms_record records[] = {{.key = ms_string("k"), .value = ms_string(""), .timestamp = 1},
                           {.timestamp = 2, .headers = {{packed, sizeof packed - 1}}},
                           {.key = ms_string(""), .timestamp = INT64_MAX}};
    assert(ms_test_process_batch(test, records, 3) == MS_OK && ms_test_forwarded_count(test) == 3);
    for (size_t index = 0; index < 3; index++) {
        const ms_record *one = &ms_test_forwarded(test, index)->record;
        assert(ms_equal(one->key, records[index].key) && ms_equal(one->value, records[index].value));
        assert(one->timestamp == records[index].timestamp);
        assert(one->headers.packed.length == records[index].headers.packed.length);
    }
    ms_bytes value;
    ms_headers headers = ms_test_forwarded(test, 1)->record.headers;
    assert(ms_last_header(headers, "trace", &value) && ms_equal(value, ms_string("1")));
    assert(ms_last_header(headers, "null", &value) && ms_is_null(value) && !ms_last_header(headers, "none", &value));
    ms_test_free(test);
}

static void text_is_utf_8(void) {
    assert(ms_read_text(ms_string("ärger €uro \xf0\x9f\x98\x80")) && ms_read_text(ms_string("")));
    const char *others[] = {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"};
    for (size_t index = 0; index < sizeof others / sizeof *others; index++) {
        assert(!ms_read_text(ms_string(others[index])));
    }
    assert(!ms_read_text(MS_NULL));
}

static void json_is_read_changed_and_written(void) {
    static const struct {
        const char *read, *written;
    } cases[] = {
        {"{\"n\": 41}", "{\"n\":41,\"more\":42}"},
        {" { \"more\" : [1.50, -2e3, true, false, null, {}, []] , \"n\":9 } ", "{\"more\":10,\"n\":9}"},
        {"{\"\\u00e4\\ud83d\\ude00\\n\":\"\\\"\\/\"}", "{\"ä\xf0\x9f\x98\x80\\u000a\":\"\\\"/\",\"more\":1}"},
        {"{\"n\": 9223372036854775808}", "{\"n\":9223372036854775808,\"more\":1}"},
    };
    ms_test *test = begin("json");
    for (size_t index = 0; index < sizeof cases / sizeof *cases; index++) {
        ms_record one = record("k", cases[index].read);
        assert(ms_test_process(test, &one) == MS_OK);
        assert(ms_equal(ms_test_forwarded(test, index)->record.value, ms_string(cases[index].written)));
    }
    const char *wrong[] = {"", "{", "{\"a\":}", "[1,]", "01", "1.", "\"\\x\"", "\"\n\"", "nul", "1 2", "{\"a\" 1}", "\"\\ud8"};
    for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++) {
        ms_record one = record("k", wrong[index]);
        assert(ms_test_process(test, &one) == MS_FATAL && strstr(ms_test_reason(test), "where JSON is expected") != NULL);
    }
    char deep[4000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    ms_record one = record("k", deep);
    assert(ms_test_process(test, &one) == MS_FATAL);
    ms_test_free(test);
}

static void punctuations_fire_when_they_are_due_and_end_when_cancelled(void) {
    ms_test *test = ms_test_new("clock");
    assert(ms_test_begin(test) == MS_FATAL && strstr(ms_test_reason(test), "`gap` is missing") != NULL);
    ms_test_free(test);
    test = ms_test_new("clock");
    ms_test_with_config(test, "gap", "100");
    assert(ms_test_begin(test) == MS_OK);
    for (int64_t timestamp = 50; timestamp <= 400; timestamp += 50) {
        ms_record one = {.timestamp = timestamp};
        assert(ms_test_process(test, &one) == MS_OK);
    }
    assert(ms_test_forwarded_count(test) == 2);
    assert(ms_test_forwarded(test, 0)->record.timestamp == 50 && ms_test_forwarded(test, 1)->record.timestamp == 100);
    ms_test_clear_forwarded(test);
    assert(ms_test_advance_wall_clock_time(test, 1499) == MS_OK);
    assert(ms_test_advance_wall_clock_time(test, 1) == MS_SKIP);
    assert(ms_test_forwarded_count(test) == 0 && ms_test_commits_requested(test) == 1);
    assert(strcmp(ms_test_last_logged(test), "info: strike at 1500") == 0);
    ms_test_free(test);
}

static void values_of_another_form_say_what_they_are(void) {
    ms_test *test = begin("script");
    ms_record one = {.key = ms_string("k"), .value = {"\xff\"", 2}};
    assert(ms_test_process(test, &one) == MS_FATAL);
    assert(strcmp(ms_test_reason(test), "the value has 2 bytes (\"\\xff\\x22\") where text in UTF-8 is expected") == 0);
    one.value = MS_NULL;
    assert(ms_test_process(test, &one) == MS_FATAL);
    assert(strcmp(ms_test_reason(test), "the value is null where text in UTF-8 is expected") == 0);
    ms_test_free(test);
}

static void what_is_forwarded_as_it_came_is_not_copied(void) {
    static const struct {
        ms_record given;
        ms_bytes key, value;
        size_t copied;
    } cases[] = {
        {{{"k", 1}, {"as it came", 10}, 5, {{0}}}, {"k", 1}, {"as it came", 10}, 0},
        {{{NULL, 0}, {"x", 1}, 5, {{0}}}, {NULL, 0}, {"x", 1}, 0},
        {{{"k", 1}, {NULL, 0}, 5, {{0}}}, {"k", 1}, {NULL, 0}, 0},
        {{{NULL, 0}, {NULL, 0}, 5, {{0}}}, {NULL, 0}, {NULL, 0}, 0},
        {{{"", 0}, {"", 0}, 5, {{0}}}, {"", 0}, {"", 0}, 0},
        {{{"k", 1}, {"key", 3}, 5, {{0}}}, {"new", 3}, {"key", 3}, 3},
        {{{NULL, 0}, {"key", 3}, 5, {{0}}}, {"new", 3}, {"key", 3}, 3},
        {{{"k", 1}, {"value", 5}, 5, {{0}}}, {"k", 1}, {"new", 3}, 3},
        {{{"k", 1}, {"no-key", 6}, 5, {{0}}}, {NULL, 0}, {"no-key", 6}, 0},
        {{{"", 0}, {"no-key", 6}, 5, {{0}}}, {NULL, 0}, {"no-key", 6}, 0},
        {{{"k", 1}, {"no-value", 8}, 5, {{0}}}, {"k", 1}, {NULL, 0}, 0},
        {{{"k", 1}, {"equal", 5}, 5, {{0}}}, {"k", 1}, {"equal", 5}, 6},
        {{{"kk", 2}, {"part", 4}, 5, {{0}}}, {"k", 1}, {"par", 3}, 4},
        {{{"k", 1}, {"swapped", 7}, 5, {{0}}}, {"swapped", 7}, {"k", 1}, 8},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    ms_record all[CASES];
    size_t copied = 0;
    ms_test *test = begin("reforward");
    for (size_t index = 0; index < CASES; index++) {
        all[index] = cases[index].given;
        copied += cases[index].copied;
        assert(ms_test_process(test, &all[index]) == MS_OK && ms_test_copied_bytes(test) == cases[index].copied);
    }
    assert(ms_test_process_batch(test, all, CASES) == MS_OK && ms_test_copied_bytes(test) == copied);
    assert(ms_test_forwarded_count(test) == 2 * CASES);
    for (size_t index = 0; index < 2 * CASES; index++) {
        const ms_record *one = &ms_test_forwarded(test, index)->record;
        assert(ms_equal(one->key, cases[index % CASES].key) && ms_equal(one->value, cases[index % CASES].value));
        assert(one->timestamp == 6);
    }
    ms_test_free(test);
}

static void records_of_other_rows_and_of_none_are_copied(void) {
    ms_test *test = begin("reforward");
    ms_record records[] = {record("first", "keep"), record("same", "kept"), record("same", "as it came")};
    size_t whole = strlen("first") + strlen("keep");
    assert(ms_test_process_batch(test, records, 3) == MS_OK && ms_test_copied_bytes(test) == whole);
    assert(ms_test_process(test, &records[1]) == MS_OK && ms_test_copied_bytes(test) == whole);
    assert(ms_test_advance_wall_clock_time(test, 1000) == MS_OK);
    assert(strcmp(values(test), "keep as it came keep keep ") == 0);
    ms_test_free(test);
}

int main(void) {
    a_batch_and_single_records_give_the_same();
    what_a_failed_record_did_is_taken_back_even_after_a_scan();
    after_a_record_that_must_be_tried_again_no_other_is_processed();
    a_batch_reads_ahead_and_writes_back_once();
    the_first_access_may_be_a_read();
    records_for_one_child_and_for_all_keep_their_order();
    nulls_headers_and_timestamps_are_passed_along();
    text_is_utf_8();
    json_is_read_changed_and_written();
    punctuations_fire_when_they_are_due_and_end_when_cancelled();
    values_of_another_form_say_what_they_are();
    what_is_forwarded_as_it_came_is_not_copied();
    records_of_other_rows_and_of_none_are_copied();
    puts("all tests of the C SDK passed");
    return 0;
}
