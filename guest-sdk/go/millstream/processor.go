package millstream

// Processor is a node of a topology that takes records and forwards records.
//
// One is made for each task, and again after a failure or when the host replaces the instance: what it keeps in its
// fields is a cache. State belongs in stores.
type Processor interface {
	// Process processes one record. An error says that it wasn't processed: what it forwarded and wrote is taken back,
	// and the host does what the error asks for; see Error.
	//
	// The record and its bytes, and what stores return, are good until the call returns: copy what is to be kept.
	Process(record *Record, context *Context) error
}

// BatchProcessor is a Processor that prefers whole batches, for work that is quicker on many records.
type BatchProcessor interface {
	Processor
	// ProcessBatch processes a batch. The result must be that of one record at a time; wrap the work for each record in
	// Context.Row, and stop when that says so.
	ProcessBatch(batch *Batch, context *Context)
}

// Closer is a Processor that wants to know its end.
type Closer interface {
	// Close is called when the task is about to be closed or given away. Nothing can be forwarded or written any more.
	Close()
}

// ProcessorFunc is a function as a Processor, for those that keep nothing.
type ProcessorFunc func(record *Record, context *Context) error

// Process calls the function.
func (f ProcessorFunc) Process(record *Record, context *Context) error { return f(record, context) }

// New begins a processor: it reads the settings, opens stores and schedules punctuations. An error is the reason why the
// processor can't begin; the task doesn't start then, and the operator is shown it.
type New func(setup *Setup) (Processor, error)

// Predicate says yes or no of a record, behind the native `filter` and `split`. It has no state.
type Predicate func(record *Record) (bool, error)

// KeySelector chooses a record's key, behind the native `group-by`. It has no state. A record whose key is nil has
// none, and the grouping drops it.
type KeySelector func(record *Record) (key []byte, err error)

// What the plugin contains, in the order of registration.
var (
	processors   registry[New]
	predicates   registry[Predicate]
	keySelectors registry[KeySelector]
)

// `millstream build` looks for these texts in the module: all interfaces are exported, and only those are meant of which a
// function below is called. The linker leaves out the texts of the others.
var exports struct{ processor, predicate, keySelector string }

// Register gives the plugin a processor, by the name that manifests call it. Call it in an init function.
func Register(name string, new New) {
	exports.processor = "millstream:plugin-exports/processor;"
	processors.add("processor", name, new)
}

// RegisterFunc gives the plugin a processor that is only a function.
func RegisterFunc(name string, process func(record *Record, context *Context) error) {
	Register(name, func(*Setup) (Processor, error) { return ProcessorFunc(process), nil })
}

// RegisterPredicate gives the plugin a predicate, by the name that manifests call it. Call it in an init function.
func RegisterPredicate(name string, predicate Predicate) {
	exports.predicate = "millstream:plugin-exports/predicate;"
	predicates.add("predicate", name, predicate)
}

// RegisterKeySelector gives the plugin a key selector, by the name that manifests call it. Call it in an init function.
func RegisterKeySelector(name string, selector KeySelector) {
	exports.keySelector = "millstream:plugin-exports/key-selector;"
	keySelectors.add("key selector", name, selector)
}

// registry holds what has been registered under names.
type registry[T any] struct {
	names  []string
	values map[string]T
}

func (r *registry[T]) add(kind, name string, value T) {
	if _, found := r.values[name]; found || name == "" {
		panic("millstream: the " + kind + " `" + name + "` is registered twice, or without a name")
	}
	if r.values == nil {
		r.values = make(map[string]T)
	}
	r.names = append(r.names, name)
	r.values[name] = value
}

func (r *registry[T]) find(kind, name string) (T, error) {
	value, found := r.values[name]
	if !found {
		return value, Fatal("there is no %s `%s` in this plugin, but %q", kind, name, r.names)
	}
	return value, nil
}
