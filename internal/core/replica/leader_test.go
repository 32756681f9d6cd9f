package replica

import (
	"errors"
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

func nodes(ids ...kafka.NodeID) []kafka.NodeID { return ids }

func TestHighWatermarkIsLeastSafeOffsetOfISR(t *testing.T) {
	l := Lead(1, Leadership{Epoch: 3, Replicas: nodes(1, 2, 3), ISR: nodes(1, 2), MinISR: 2}, 10, 5)
	steps := []struct {
		node  kafka.NodeID
		end   kafka.Offset
		moved bool
		want  kafka.Offset
	}{
		{1, 20, false, 5}, // nothing heard of 2
		{2, 8, true, 8},
		{3, 100, false, 8}, // not in the ISR
		{2, 15, true, 15},
		{2, 12, false, 15}, // late news never sinks it
		{2, 30, true, 20},
	}
	for _, s := range steps {
		if moved := l.Secured(s.node, s.end); moved != s.moved || l.HighWatermark() != s.want {
			t.Fatalf("Secured(%d, %d) = %v, high watermark %d; want %v, %d", s.node, s.end, moved, l.HighWatermark(), s.moved, s.want)
		}
	}
}

func TestHighWatermarkStandsStillBelowMinISR(t *testing.T) {
	g := Leadership{Replicas: nodes(1, 2, 3), ISR: nodes(1), MinISR: 2}
	l := Lead(1, g, 0, 0)
	if l.Secured(1, 10) || l.HighWatermark() != 0 {
		t.Fatalf("high watermark moved to %d below the minimum", l.HighWatermark())
	}
	if err := l.EnoughInSync(); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Fatalf("EnoughInSync = %v", err)
	}
	g.MinISR = 1
	if !l.Regive(g) || l.HighWatermark() != 10 {
		t.Fatalf("high watermark %d after the minimum sank, want 10", l.HighWatermark())
	}
}

func TestMinISRIsAtMostTheNumberOfReplicas(t *testing.T) {
	l := Lead(1, Leadership{Replicas: nodes(1), ISR: nodes(1), MinISR: 2}, 0, 0)
	if !l.Secured(1, 7) || l.HighWatermark() != 7 {
		t.Fatalf("high watermark %d, want 7", l.HighWatermark())
	}
}

func TestLatestIsUnknownUntilHighWatermarkReachesEpochStart(t *testing.T) {
	l := Lead(1, Leadership{Replicas: nodes(1), ISR: nodes(1), MinISR: 1}, 10, 4)
	if err := l.LatestKnown(); !errors.Is(err, kerr.OffsetNotAvailable) {
		t.Fatalf("LatestKnown = %v", err)
	}
	l.Secured(1, 10)
	if err := l.LatestKnown(); err != nil {
		t.Fatal(err)
	}
}

func TestClientEpochs(t *testing.T) {
	for _, c := range []struct {
		client kafka.LeaderEpoch
		want   error
	}{{-1, nil}, {5, nil}, {4, kerr.FencedLeaderEpoch}, {6, kerr.UnknownLeaderEpoch}} {
		if err := CheckEpoch(c.client, 5); !errors.Is(err, c.want) {
			t.Errorf("CheckEpoch(%d, 5) = %v, want %v", c.client, err, c.want)
		}
	}
}
