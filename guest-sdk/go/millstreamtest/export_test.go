//go:build !wasip1

package millstreamtest

// CopiedBytes is how many bytes of keys and values the last batch copied to the host.
func (p *Processor) CopiedBytes() int { return p.host.copiedBytes }
