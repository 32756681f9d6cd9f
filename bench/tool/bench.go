package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
)

// Load is what headrace bench tells of one of its loads; latencies are in milliseconds.
type Load struct {
	Records          int64   `json:"records"`
	RecordsPerSecond float64 `json:"recordsPerSecond"`
	BytesPerSecond   float64 `json:"bytesPerSecond"`
	Interrupted      bool    `json:"interrupted"`
	Latency          struct {
		P50  float64 `json:"p50"`
		P99  float64 `json:"p99"`
		P999 float64 `json:"p999"`
		Max  float64 `json:"max"`
	} `json:"latencyMs"`
}

// Bench runs headrace bench.
func (s Set) Bench(ctx context.Context, address, load string, args ...string) (Load, error) {
	words := append([]string{"bench", load, "--bootstrap", address, "--output", "json"}, args...)
	out, err := s.run(ctx, exec.Command(s.Headrace, words...), append([]string{"headrace"}, words...))
	if err != nil {
		return Load{}, err
	}
	return parseLoad(out)
}

func parseLoad(text string) (Load, error) {
	var l Load
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return l, fmt.Errorf("headrace bench: %w: %s", err, tail(text))
	}
	switch {
	case l.Interrupted:
		return l, fmt.Errorf("headrace bench was interrupted")
	case l.Records == 0:
		return l, fmt.Errorf("headrace bench measured no record")
	}
	return l, nil
}
