package partition

import (
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/quota"
)

// Replication that a topic's throttles name is bounded while the replica that catches up is not in sync (KIP-73): one that is must not
// fall behind, since those who wait for acks=all wait for it.

// ThrottledTo tells whether what this node sends to a follower, as the leader, is bounded.
func (p *Partition) ThrottledTo(follower kafka.NodeID) bool {
	return p.settings.Load().topic.LeaderThrottle.Names(p.tp.Partition, p.set.Node) && !p.inSync(follower)
}

// ThrottledFrom tells whether what this node fetches, as a follower, is bounded.
func (p *Partition) ThrottledFrom() bool {
	return p.settings.Load().topic.FollowerThrottle.Names(p.tp.Partition, p.set.Node) && !p.inSync(p.set.Node)
}

func (p *Partition) inSync(n kafka.NodeID) bool {
	p.role.RLock()
	defer p.role.RUnlock()
	return slices.Contains(p.role.given.ISR, n)
}

// Throttle measures what goes over one side of bounded replication, of all partitions together.
type Throttle struct {
	mu   sync.Mutex
	rate *quota.Rate
}

// NewThrottle makes one that has seen nothing.
func NewThrottle(c conf.ThrottleConfig) *Throttle {
	return &Throttle{rate: quota.NewRate(c.Samples, c.Sample)}
}

// Add counts bytes that went over.
func (t *Throttle) Add(now time.Time, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rate.Add(now, int64(bytes))
}

// PerSecond is the rate in bytes a second.
func (t *Throttle) PerSecond(now time.Time) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rate.PerSecond(now)
}

// Over is how long to wait before the rate is worth another look, by a bound in bytes a second; 0 when it is not above.
func (t *Throttle) Over(now time.Time, bound int64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rate.Over(now, bound)
}
