package millstream

import (
	"errors"
	"fmt"
)

// Reaction is what the host is to do about a record that was not processed.
type Reaction uint8

const (
	// ReactionFatal leaves it to the plugin's policy in the manifest: to stop the task (the default), skip, or
	// dead-letter. Errors that are no *Error mean this.
	ReactionFatal Reaction = iota
	// ReactionSkip leaves the record out, counts it and goes on.
	ReactionSkip
	// ReactionDeadLetter sends the record to the dead-letter topic and goes on.
	ReactionDeadLetter
	// ReactionRetry says that a dependency is away and the record is good: the host gives it again later.
	ReactionRetry
)

// Error says that a record can't be processed: the reaction asked for, and the reason. It may be wrapped.
type Error struct {
	Reaction Reaction
	Err      error
}

// Error is the reason.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap is the reason, for errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Skip asks to leave the record out, for a reason written as by fmt.Errorf.
func Skip(format string, arguments ...any) error {
	return &Error{ReactionSkip, fmt.Errorf(format, arguments...)}
}

// DeadLetter asks to send the record to the dead-letter topic, for a reason written as by fmt.Errorf.
func DeadLetter(format string, arguments ...any) error {
	return &Error{ReactionDeadLetter, fmt.Errorf(format, arguments...)}
}

// Retry asks to be given the record again later, for a reason written as by fmt.Errorf.
func Retry(format string, arguments ...any) error {
	return &Error{ReactionRetry, fmt.Errorf(format, arguments...)}
}

// Fatal leaves it to the plugin's policy, for a reason written as by fmt.Errorf; so does every error of another type.
func Fatal(format string, arguments ...any) error {
	return &Error{ReactionFatal, fmt.Errorf(format, arguments...)}
}

// reactionTo is what an error asks for.
func reactionTo(err error) Reaction {
	var known *Error
	if errors.As(err, &known) {
		return known.Reaction
	}
	return ReactionFatal
}

// goesOn says whether later records of the batch may still be processed.
func (r Reaction) goesOn() bool { return r == ReactionSkip || r == ReactionDeadLetter }

// String is the reaction's name in wit/processor.wit.
func (r Reaction) String() string {
	switch r {
	case ReactionSkip:
		return "skip"
	case ReactionDeadLetter:
		return "dead-letter"
	case ReactionRetry:
		return "retry"
	default:
		return "fatal"
	}
}
