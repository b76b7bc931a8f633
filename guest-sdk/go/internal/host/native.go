//go:build !wasip1

package host

import (
	"fmt"
	"os"
	"sync/atomic"
)

// LogSink takes what is logged in native tests; standard error does where there is none.
var LogSink atomic.Pointer[func(level uint32, message string)]

// Log writes a line.
func Log(level uint32, message string) {
	if sink := LogSink.Load(); sink != nil {
		(*sink)(level, message)
		return
	}
	fmt.Fprintln(os.Stderr, message)
}
