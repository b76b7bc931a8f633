package millstream

// Setup is what a processor is told when it begins, and the Context to schedule punctuations with.
type Setup struct {
	*Context
	// Processor says which of the plugin's processors this is.
	Processor string
	// Node is the node's name in the topology.
	Node string
	// Task is the task: the number of the sub-topology, an underscore, the partition (`0_3`).
	Task string
	// Config has the settings that the application gives the node.
	Config map[string]string
	// Children are the names of the nodes below this one, in the order in which they were attached.
	Children []string
	// Stores are the names of the stores that this node may open.
	Stores []string
}

// Child is a node below a processor; see Setup.Child.
type Child struct{ index int }

// RequiredConfig is a setting that must be there; the error names it.
func (s *Setup) RequiredConfig(key string) (string, error) {
	value, found := s.Config[key]
	if !found {
		return "", Fatal("the node's setting `%s` is missing: give it in `config`", key)
	}
	return value, nil
}

// Child is the node below this one with that name, for Context.ForwardTo.
func (s *Setup) Child(name string) (Child, error) {
	index, found := s.host.Child(name)
	if !found {
		return Child{}, Fatal("there is no child `%s`, but %q: name one of them as input", name, s.Children)
	}
	return Child{int(index)}, nil
}

// Store opens a store of the node: there must be one of that name, and the node must have been granted it.
func (s *Setup) Store(name string) (*KeyValueStore, error) { return s.openStore(name) }
