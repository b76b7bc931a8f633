//go:build !wasip1

package millstream

import (
	"millstream.dev/go/internal/bridge"
	"millstream.dev/go/internal/host"
)

func init() {
	bridge.Begin = func(setup host.Setup, on host.Context, new any) (bridge.Running, error) {
		running, err := begin(setup, on, new.(New))
		return bridged{running}, err
	}
	bridge.AppendHeaders = func(column []byte, index int, headers any) []byte {
		return appendHeaders(column, index, headers.(Headers))
	}
	bridge.Records = func(columns host.Batch) any {
		batch := Batch{columns: columns}
		records := make([]Record, batch.Len())
		for row := range records {
			batch.read(&records[row], row)
		}
		return records
	}
}

// bridged is a running processor as package millstreamtest sees it.
type bridged struct{ *running }

func (b bridged) Process(columns host.Batch) []bridge.Failure {
	var failures []bridge.Failure
	for _, failure := range b.process(columns) {
		failures = append(failures, bridge.Failure{Row: failure.row, Err: failure.err})
	}
	return failures
}

func (b bridged) Punctuate(id uint32, timestamp int64) error { return b.punctuate(id, timestamp) }

func (b bridged) Close() { b.close() }
