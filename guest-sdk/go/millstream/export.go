//go:build wasip1

// The exports of the contract, by the canonical ABI. An answer stays where it is until the next call: the host reads it
// before it calls again.

package millstream

import (
	"fmt"
	"runtime/debug"
	"strings"
	"unsafe"

	"millstream.dev/go/internal/host"
)

// instance is the processor of this instance.
var instance *running

// What the last call answered; Go must not free it before the host has read it.
var (
	answer  [8]uint32
	answers [][]byte
	lists   [][]uint32
)

func answerAt() unsafe.Pointer { return unsafe.Pointer(&answer) }

// list is a place of an answer that holds pointer and length of bytes.
func list(bytes []byte) (pointer, length uint32) {
	answers = append(answers, bytes)
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))), uint32(len(bytes))
}

func text(text string) (pointer, length uint32) {
	return list(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// numbers is a place of an answer that holds a pointer to numbers.
func numbers(numbers []uint32) (pointer uint32) {
	lists = append(lists, numbers)
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(numbers))))
}

// guard begins a call; the function that it returns ends it. A panic ends the instance, with its text in the host's log.
func guard() func() {
	answers, lists = answers[:0], lists[:0]
	return func() {
		if reason := recover(); reason != nil {
			host.Log(logError, fmt.Sprintf("panic: %v\n%s", reason, stack()))
			host.Trap()
		}
		host.EndCall()
	}
}

const logError = 4

// stack is where the panic began, without the frames of the runtime and of this package above it.
func stack() string {
	lines := strings.Split(strings.TrimSpace(string(debug.Stack())), "\n")
	for at, line := range lines {
		if strings.HasPrefix(line, "panic(") && at+2 < len(lines) {
			return strings.Join(lines[at+2:], "\n")
		}
	}
	return strings.Join(lines, "\n")
}

func names(names []string) unsafe.Pointer {
	defer guard()()
	places := make([]uint32, 0, 2*len(names))
	for _, name := range names {
		pointer, length := text(name)
		places = append(places, pointer, length)
	}
	answer[0], answer[1] = numbers(places), uint32(len(names))
	return answerAt()
}

//go:wasmexport millstream:processor/processor@0.1.0#processors
func exportProcessors() unsafe.Pointer { return names(processors.names) }

//go:wasmexport millstream:processor/predicate@0.1.0#predicates
func exportPredicates() unsafe.Pointer { return names(predicates.names) }

//go:wasmexport millstream:processor/key-selector@0.1.0#key-selectors
func exportKeySelectors() unsafe.Pointer { return names(keySelectors.names) }

func textAt(pointer, length uint32) string { return string(host.BytesAt(pointer, length)) }

// textsAt reads a list of texts.
func textsAt(pointer, length uint32) []string {
	places := host.Uint32sAt(pointer, length*8)
	texts := make([]string, length)
	for index := range texts {
		texts[index] = textAt(places[2*index], places[2*index+1])
	}
	return texts
}

//go:wasmexport millstream:processor/processor@0.1.0#init
func exportInit(processor, processorLen, node, nodeLen, task, taskLen, config, configLen,
	children, childrenLen, stores, storesLen uint32) unsafe.Pointer {
	defer guard()()
	settings := make(map[string]string, configLen)
	pairs := textsAt(config, configLen*2)
	for at := 0; at < len(pairs); at += 2 {
		settings[pairs[at]] = pairs[at+1]
	}
	running, err := begin(host.Setup{
		Processor: textAt(processor, processorLen),
		Node:      textAt(node, nodeLen),
		Task:      textAt(task, taskLen),
		Config:    settings,
		Children:  textsAt(children, childrenLen),
		Stores:    textsAt(stores, storesLen),
	}, host.Context{}, nil)
	if err != nil {
		return refusal(err)
	}
	instance = running
	answer[0] = 0
	return answerAt()
}

// refusal is an answer of type result<_, string> that is an error.
func refusal(err error) unsafe.Pointer {
	answer[0] = 1
	answer[1], answer[2] = text(err.Error())
	return answerAt()
}

func columns(keys, keysLen, keyEnds, keyEndsLen, values, valuesLen, valueEnds, valueEndsLen,
	timestamps, timestampsLen, nulls, nullsLen, headers, headersLen uint32) host.Batch {
	return host.Batch{
		Keys:       host.BytesAt(keys, keysLen),
		KeyEnds:    host.Uint32sAt(keyEnds, keyEndsLen),
		Values:     host.BytesAt(values, valuesLen),
		ValueEnds:  host.Uint32sAt(valueEnds, valueEndsLen),
		Timestamps: host.Int64sAt(timestamps, timestampsLen),
		Nulls:      host.BytesAt(nulls, nullsLen),
		Headers:    host.BytesAt(headers, headersLen),
	}
}

//go:wasmexport millstream:processor/processor@0.1.0#process
func exportProcess(keys, keysLen, keyEnds, keyEndsLen, values, valuesLen, valueEnds, valueEndsLen,
	timestamps, timestampsLen, nulls, nullsLen, headers, headersLen uint32) unsafe.Pointer {
	defer guard()()
	failures := instance.process(columns(keys, keysLen, keyEnds, keyEndsLen, values, valuesLen, valueEnds, valueEndsLen,
		timestamps, timestampsLen, nulls, nullsLen, headers, headersLen))
	// A failure is the row and the reaction, which is its case and a text.
	places := make([]uint32, 0, 4*len(failures))
	for _, failure := range failures {
		pointer, length := text(failure.err.Error())
		places = append(places, failure.row, reactionCase(failure.err), pointer, length)
	}
	answer[0], answer[1] = numbers(places), uint32(len(failures))
	return answerAt()
}

// reactionCase is the number of a case of `reaction` in wit/processor.wit.
func reactionCase(err error) uint32 {
	switch reactionTo(err) {
	case ReactionSkip:
		return 0
	case ReactionDeadLetter:
		return 1
	case ReactionRetry:
		return 2
	default:
		return 3
	}
}

//go:wasmexport millstream:processor/processor@0.1.0#punctuate
func exportPunctuate(id, _ uint32, timestamp int64) unsafe.Pointer {
	defer guard()()
	if err := instance.punctuate(id, timestamp); err != nil {
		answer[0], answer[1] = 1, reactionCase(err)
		answer[2], answer[3] = text(err.Error())
	} else {
		answer[0] = 0
	}
	return answerAt()
}

//go:wasmexport millstream:processor/processor@0.1.0#close
func exportClose() {
	defer guard()()
	instance.close()
}

//go:wasmexport millstream:processor/predicate@0.1.0#test
func exportTest(function, functionLen, keys, keysLen, keyEnds, keyEndsLen, values, valuesLen, valueEnds, valueEndsLen,
	timestamps, timestampsLen, nulls, nullsLen, headers, headersLen uint32) unsafe.Pointer {
	defer guard()()
	found, err := test(textAt(function, functionLen), columns(keys, keysLen, keyEnds, keyEndsLen,
		values, valuesLen, valueEnds, valueEndsLen, timestamps, timestampsLen, nulls, nullsLen, headers, headersLen))
	if err != nil {
		return refusal(err)
	}
	answer[0] = 0
	answer[1], answer[2] = list(found)
	return answerAt()
}

//go:wasmexport millstream:processor/key-selector@0.1.0#select-key
func exportSelectKey(function, functionLen, keys, keysLen, keyEnds, keyEndsLen, values, valuesLen, valueEnds, valueEndsLen,
	timestamps, timestampsLen, nulls, nullsLen, headers, headersLen uint32) unsafe.Pointer {
	defer guard()()
	chosen, chosenEnds, chosenNulls, err := selectKey(textAt(function, functionLen), columns(keys, keysLen,
		keyEnds, keyEndsLen, values, valuesLen, valueEnds, valueEndsLen, timestamps, timestampsLen, nulls, nullsLen,
		headers, headersLen))
	if err != nil {
		return refusal(err)
	}
	answer[0] = 0
	answer[1], answer[2] = list(chosen)
	answer[3], answer[4] = numbers(chosenEnds), uint32(len(chosenEnds)*4)
	answer[5], answer[6] = list(chosenNulls)
	return answerAt()
}
