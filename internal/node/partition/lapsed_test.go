package partition

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// A leader that was cut off and replaced reads on from what it has. A client that got further with the new leader must not
// hear from it that its offset does not exist, or where the log ends: it would begin anew.
func TestALeaderThatMayBeReplacedDeniesNothing(t *testing.T) {
	var lapsed atomic.Bool
	h := newHost(t, vfs.NewMem(), func(c *Config) { c.Lapsed = lapsed.Load })
	defer h.Abandon()
	h.topic("t", 1)
	p := h.part("t", 0)
	mustWrite(t, p, "a")
	beyond := Position{Offset: 100, Epoch: kafka.NoLeaderEpoch, LastEpoch: kafka.NoLeaderEpoch, MaxBytes: 1}
	of := func(e *kerr.Error) func(err error) bool {
		return func(err error) bool {
			var k *kerr.Error
			return errors.As(err, &k) && k == e
		}
	}
	for _, step := range []struct {
		lapsed bool
		want   func(error) bool
	}{{false, of(kerr.OffsetOutOfRange)}, {true, of(kerr.NotLeaderForPartition)}} {
		lapsed.Store(step.lapsed)
		if _, err := p.Fetch(beyond); !step.want(err) {
			t.Errorf("lapsed %v: a fetch beyond the end: %v", step.lapsed, err)
		}
		if _, err := p.FetchNearby(beyond); !step.want(err) {
			t.Errorf("lapsed %v: a fetch beyond the end, of any replica: %v", step.lapsed, err)
		}
		f, err := p.Fetch(Position{Offset: 0, Epoch: kafka.NoLeaderEpoch, LastEpoch: kafka.NoLeaderEpoch, MaxBytes: 1 << 20})
		if err != nil || f.Plan.Bytes == 0 {
			t.Errorf("lapsed %v: what is committed is not served: %d bytes, %v", step.lapsed, f.Plan.Bytes, err)
		}
		f.Plan.Release()
		_, err = p.OffsetFor(LatestOffset, kafka.NoLeaderEpoch, false)
		if told := err == nil; told == step.lapsed {
			t.Errorf("lapsed %v: where the end is: %v", step.lapsed, err)
		}
	}
}
