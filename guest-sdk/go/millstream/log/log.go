// Package log writes lines to the log of the host, where they carry the application, the task, the node and the plugin.
//
// What a plugin prints to standard output or standard error becomes a line there too.
package log

import (
	"fmt"

	"millstream.dev/go/internal/host"
)

// Level is how much a line matters.
type Level uint8

const (
	// LevelTrace is every detail.
	LevelTrace Level = iota
	// LevelDebug is what helps to find a mistake.
	LevelDebug
	// LevelInfo is what an operator may want to know.
	LevelInfo
	// LevelWarn is something odd, but it goes on.
	LevelWarn
	// LevelError is something that failed.
	LevelError
)

// Log writes a line, formatted as by fmt.Sprintf.
func Log(level Level, format string, arguments ...any) {
	host.Log(uint32(level), fmt.Sprintf(format, arguments...))
}

// Trace writes a line at level trace.
func Trace(format string, arguments ...any) { Log(LevelTrace, format, arguments...) }

// Debug writes a line at level debug.
func Debug(format string, arguments ...any) { Log(LevelDebug, format, arguments...) }

// Info writes a line at level info.
func Info(format string, arguments ...any) { Log(LevelInfo, format, arguments...) }

// Warn writes a line at level warn.
func Warn(format string, arguments ...any) { Log(LevelWarn, format, arguments...) }

// Error writes a line at level error; the last of them before a failure are shown with it.
func Error(format string, arguments ...any) { Log(LevelError, format, arguments...) }
