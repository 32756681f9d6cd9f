package replica

import (
	"errors"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

func nodes(ids ...kafka.NodeID) []kafka.NodeID { return ids }

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// after is a time so many milliseconds after the leadership began.
func after(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }

const maxLag = time.Second

// leadership is that of node 1 among three, all active in their first registration, 100 + their id.
func leadership(isr ...kafka.NodeID) Leadership {
	return Leadership{
		Epoch: 3, PartitionEpoch: 7, Replicas: nodes(1, 2, 3), ISR: isr, MinISR: 1, MaxLag: maxLag, Active: Nodes{1: 101, 2: 102, 3: 103},
	}
}

func fetch(t *testing.T, l *Leader, at time.Time, n kafka.NodeID, offset, end kafka.Offset) (moved, ready bool) {
	t.Helper()
	moved, ready, err := l.Fetched(at, Fetch{Replica: n, BrokerEpoch: 100 + int64(n), Offset: offset}, end)
	if err != nil {
		t.Fatal(err)
	}
	return moved, ready
}

func wantWatermark(t *testing.T, l *Leader, want kafka.Offset) {
	t.Helper()
	if got := l.HighWatermark(); got != want {
		t.Fatalf("high watermark %d, want %d", got, want)
	}
}

func TestHighWatermarkIsLeastSafeOffsetOfISR(t *testing.T) {
	l := Lead(began, 1, leadership(1, 2), 10, 5)
	if l.Secured(began, 20) {
		t.Fatal("moved although nothing was heard of node 2")
	}
	if moved, _ := fetch(t, l, began, 2, 8, 20); !moved {
		t.Fatal("did not move to what node 2 has")
	}
	wantWatermark(t, l, 8)
	fetch(t, l, began, 2, 15, 20)
	wantWatermark(t, l, 15)
	fetch(t, l, began, 2, 12, 20) // it lost some; what is committed stays so
	wantWatermark(t, l, 15)
	l.Secured(began, 30)
	fetch(t, l, began, 2, 31, 31)
	wantWatermark(t, l, 30)
}

func TestHighWatermarkWaitsForWhoIsAboutToJoin(t *testing.T) {
	g := leadership(1)
	l := Lead(began, 1, g, 0, 0)
	l.Secured(began, 10)
	wantWatermark(t, l, 10)
	fetch(t, l, after(1), 2, 12, 12)
	l.Secured(after(2), 20)
	wantWatermark(t, l, 12)
	g.Active = Nodes{1: 101, 3: 103}
	if !l.Regive(after(3), g) {
		t.Fatal("goes on waiting for a fenced node")
	}
	wantWatermark(t, l, 20)
	g.Active = Nodes{1: 101, 2: 102, 3: 103}
	l.Regive(after(4), g)
	l.Secured(after(4).Add(maxLag), 30)
	wantWatermark(t, l, 30) // it has lagged for too long
}

func TestHighWatermarkStandsStillBelowMinISR(t *testing.T) {
	g := Leadership{Replicas: nodes(1, 2, 3), ISR: nodes(1), MinISR: 2}
	l := Lead(began, 1, g, 0, 0)
	if l.Secured(began, 10) || l.HighWatermark() != 0 {
		t.Fatalf("high watermark moved to %d below the minimum", l.HighWatermark())
	}
	if err := l.EnoughInSync(); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Fatalf("EnoughInSync = %v", err)
	}
	g.MinISR = 1
	if !l.Regive(began, g) || l.HighWatermark() != 10 {
		t.Fatalf("high watermark %d after the minimum sank, want 10", l.HighWatermark())
	}
}

func TestMinISRIsAtMostTheNumberOfReplicas(t *testing.T) {
	l := Lead(began, 1, Leadership{Replicas: nodes(1), ISR: nodes(1), MinISR: 2}, 0, 0)
	if !l.Secured(began, 7) || l.HighWatermark() != 7 {
		t.Fatalf("high watermark %d, want 7", l.HighWatermark())
	}
}

func TestLatestIsUnknownUntilHighWatermarkReachesEpochStart(t *testing.T) {
	l := Lead(began, 1, Leadership{Replicas: nodes(1), ISR: nodes(1), MinISR: 1}, 10, 4)
	if err := l.LatestKnown(); !errors.Is(err, kerr.OffsetNotAvailable) {
		t.Fatalf("LatestKnown = %v", err)
	}
	l.Secured(began, 10)
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
