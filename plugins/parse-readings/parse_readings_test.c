/* cc -std=c17 -I../../guest-sdk/c parse_readings_test.c parse_readings.c ../../guest-sdk/c/m*.c -lm -o target/test && target/test */

#include "millstream_test.h"

#undef NDEBUG
#include <assert.h>

int main(void) {
    ms_test *test = ms_test_new("parse");
    assert(ms_test_begin(test) == MS_OK);
    const char message[] = "R\1\2\0\0\0\0\0\0\3\xe8" "\0\0\0\0\0\x53\xfc" "\0\2\1\xff\xff\xff\xff";
    ms_record record = {.key = ms_string("s1"), .value = {message, sizeof message - 1}, .timestamp = 5};
    assert(ms_test_process(test, &record) == MS_OK && ms_test_forwarded_count(test) == 2);
    const ms_record *first = &ms_test_forwarded(test, 0)->record, *second = &ms_test_forwarded(test, 1)->record;
    assert(first->timestamp == 1000 && ms_equal(first->value, ms_string("{\"kind\":\"temperature\",\"value\":21.5}")));
    assert(second->timestamp == 3000 && ms_equal(second->value, ms_string("{\"kind\":\"humidity\",\"value\":-0.001}")));
    record.value.length--;
    assert(ms_test_process(test, &record) == MS_DEAD_LETTER && ms_test_forwarded_count(test) == 2);
    assert(strcmp(ms_test_reason(test), "a message of 24 bytes says that it has 2 readings") == 0);
    ms_test_free(test);
    return 0;
}
