package tool

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const produced = `Warmup first 200000 records. Steady state results will print after the complete test summary.
153721 records sent, 30731.9 records/sec (30.01 MB/sec), 827.5 ms avg latency, 1655.0 ms max latency.
In steady state.
1000000 records sent, 59740.725252 records/sec (58.34 MB/sec), 452.78 ms avg latency, 1655.00 ms max latency, 440 ms 50th, 912 ms 95th, 1509 ms 99th, 1633 ms 99.9th.
800000 steady state records sent, 68610.634648 records/sec (67.00 MB/sec), 374.44 ms avg latency, 927.00 ms max latency, 377 ms 50th, 815 ms 95th, 899 ms 99th, 918 ms 99.9th.
`

func TestProducersSteadyStateCountsAlone(t *testing.T) {
	got, err := parseProducer(produced, true)
	if want := (Produced{Records: 800000, Rate: 68610.634648, P50: 377, P99: 899, P999: 918}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestProducerWithoutWarmup(t *testing.T) {
	got, err := parseProducer("5 records sent, 2.5 records/sec (0.01 MB/sec), 4.1 ms avg latency, 9.00 ms max latency, 1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.\n", false)
	if want := (Produced{Records: 5, Rate: 2.5, P50: 1, P99: 3, P999: 4}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestProducerWithoutSummaryIsAnError(t *testing.T) {
	for _, text := range []string{"", "153721 records sent, 30731.9 records/sec (30.01 MB/sec), 827.5 ms avg latency, 1655.0 ms max latency.", "org.apache.kafka.common.errors.TimeoutException"} {
		if got, err := parseProducer(text, false); err == nil {
			t.Errorf("%q gives %+v", text, got)
		}
	}
	if _, err := parseProducer("5 records sent, 2.5 records/sec (0 MB/sec), 4 ms avg latency, 9 ms max latency, 1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.", true); err == nil {
		t.Error("the line of all records passes for that of the steady state")
	}
}

func TestConsumer(t *testing.T) {
	got, err := parseConsumer("2026-11-22 20:36:00:496, 2026-11-22 20:36:07:498, 976.5625, 139.5296, 1000000, 142878.3205, 1047, 5955, 164.0615, 167998.9924\n")
	if want := (Consumed{Records: 1000000, Bytes: 1024000000, Fetch: 5955 * time.Millisecond}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, text := range []string{"", "WARNING: Exiting before consuming the expected number of records", "a, b, c, d, e, f, g, h, i, j"} {
		if got, err := parseConsumer(text); err == nil {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}

func TestEndToEnd(t *testing.T) {
	got, err := parseEndToEnd("0\t182.283138\n1000\t0.831767\nAvg latency: 3.4362 ms\nPercentiles: 50th = 1, 99th = 19, 99.9th = 73\n")
	if want := (EndToEnd{Mean: 3.4362, P50: 1, P99: 19, P999: 73}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := parseEndToEnd("0\t182.283138\nAvg latency: 3.4362 ms\n"); err == nil {
		t.Error("half a summary passes")
	}
}

func TestLoad(t *testing.T) {
	got, err := parseLoad(`{"work":"produce","records":9,"recordsPerSecond":4.5,"latencyMs":{"p50":1,"p99":2,"p999":3,"max":4},"interrupted":false}`)
	if err != nil || got.RecordsPerSecond != 4.5 || got.Latency.P99 != 2 || got.Latency.P999 != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, text := range []string{"", `{"records":0}`, `{"records":5,"interrupted":true}`} {
		if got, err := parseLoad(text); err == nil {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}

func TestAProgramThatFailsTellsItsComplaint(t *testing.T) {
	s := Set{Ran: func(string) {}}
	_, err := s.run(t.Context(), exec.Command("sh", "-c", "echo out; echo complaint >&2; exit 3"), []string{"sh"})
	if err == nil || !strings.HasSuffix(err.Error(), "complaint") {
		t.Errorf("the error is %v", err)
	}
}

func TestAProgramEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the broker is gone")
	cancel(gone)
	_, err := Set{Ran: func(string) {}}.run(ctx, exec.Command("sleep", "60"), []string{"sleep"})
	if !errors.Is(err, gone) {
		t.Errorf("the error is %v, and does not say why", err)
	}
}
