/* A plugin and its test that use what the headers define inline and by macros. The Makefile compiles it as C and C++ of several
 * years, so it is written in what they have in common. */

#include "millstream_test.h"

#undef NDEBUG
#include <assert.h>

static ms_status pass(void *state, const ms_record *record, ms_context *context) {
    (void)state;
    ms_bytes text = MS_NULL;
    assert(ms_is_null(text) && ms_equal(text, MS_NULL) && !ms_equal(text, ms_string("")));
    MS_TRY(ms_value_text(context, record, &text));
    if (text.length > 100) {
        ms_panic("%d bytes are too many", (int)text.length);
    }
    ms_record passed = *record;
    passed.value = ms_bytes_of(text.data, text.length);
    ms_forward(context, &passed);
    return MS_OK;
}

static ms_status all(const ms_record *record, ms_context *context, bool *is) {
    (void)record;
    (void)context;
    *is = true;
    return MS_OK;
}

static ms_status none(const ms_record *record, ms_context *context, ms_bytes *key) {
    (void)record;
    (void)context;
    *key = MS_NULL;
    return MS_OK;
}

MS_PROCESSORS({"pass", 0, NULL, pass, NULL, NULL})
MS_PREDICATES({"all", all})
MS_KEY_SELECTORS({"none", none})

int main(void) {
    ms_test *test = ms_test_new("pass");
    ms_record record = {MS_NULL, ms_string("hello"), 1, {MS_NULL}};
    assert(ms_test_begin(test) == MS_OK);
    assert(ms_test_process(test, &record) == MS_OK);
    assert(ms_equal(ms_test_forwarded(test, 0)->record.value, record.value));
    ms_test_free(test);
    return 0;
}
