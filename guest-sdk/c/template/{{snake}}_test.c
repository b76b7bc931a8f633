/* The unit test, without Wasm: `make test`. */

#include "millstream_test.h"

#undef NDEBUG
#include <assert.h>

int main(void) {
    static const char *const keys[] = {"ann", "bob", "ann"};
    static const char *const texts[] = {"ann has come 1 times", "bob has come 1 times", "ann has come 2 times"};
    ms_test *test = ms_test_new("{{name}}");
    ms_test_with_store(test, "seen");
    assert(ms_test_begin(test) == MS_OK);
    for (size_t index = 0; index < 3; index++) {
        ms_record record = {.key = ms_string(keys[index])};
        assert(ms_test_process(test, &record) == MS_OK);
        assert(ms_equal(ms_test_forwarded(test, index)->record.value, ms_string(texts[index])));
    }
    ms_test_free(test);
    return 0;
}
