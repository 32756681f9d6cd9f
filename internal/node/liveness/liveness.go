// Package liveness finds out which nodes of the cluster are alive, and tells the controller that this one is. app starts it
// when the metadata is there; quorum and link tell it what they notice.
//
// Every node sends heartbeats to the active controller. The active controller fences a node whose session is over, and
// probes one at once whose connection broke: the sockets of a process that was killed are closed, so that its partitions find
// other leaders in a moment. Where the controller itself is gone the others notice the same way, and elect another.
//
// A Watch owns the goroutine of heartbeats and that of sessions, and one for each node that is being probed; Close waits for
// all. A node that is the only one of its cluster sends nothing, and its goroutines sleep.
package liveness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// Config is what a Watch is made of. Every field must be set unless it says otherwise.
type Config struct {
	Self  kafka.NodeID
	Log   *slog.Logger
	Image func() *metadata.Image
	// Submit asks the active controller, wherever it is: quorum.Quorum.
	Submit func(ctx context.Context, req any) (any, error)
	// Probe tells whether the process that registered as this incarnation of a node is there; an error says that nobody knows.
	Probe func(ctx context.Context, to kafka.NodeID, incarnation kafka.TopicID) (alive bool, err error)
	// Down lists the nodes to which there is no working connection.
	Down func() []kafka.NodeID
	// Majority tells whether this node and those in its reach are a majority of the metadata quorum's voters.
	Majority func() bool
	// LastHeard is when this node last heard of another as the leader of the metadata quorum; zero when it never has.
	LastHeard func(kafka.NodeID) time.Time
	// LeaderLost hints the quorum that the process of its leader is gone.
	LeaderLost func(kafka.NodeID)
	// Register registers this node anew, after its registration was lost or replaced.
	Register func(ctx context.Context) error

	// OfflineDirs lists the log dirs of this node that have failed; nil when it can have none that others do not hear of anyway.
	OfflineDirs func() [][16]byte

	Session, Heartbeat time.Duration
	// Balance and Unclean are the times between two looks for leaders to give back, and for unclean elections; 0: none.
	Balance, Unclean time.Duration
}

func (c *Config) validate() error {
	switch {
	case c.Log == nil, c.Image == nil, c.Submit == nil, c.Probe == nil, c.Down == nil, c.Majority == nil, c.LastHeard == nil, c.LeaderLost == nil, c.Register == nil:
		return errors.New("liveness: every function must be set")
	case c.Heartbeat <= 0 || c.Session < 2*c.Heartbeat:
		return fmt.Errorf("liveness: a session of %s with a heartbeat each %s", c.Session, c.Heartbeat)
	}
	return nil
}

// Watch watches the cluster. Its methods may be called by many at once, and none but Shutdown and Close blocks.
type Watch struct {
	cfg    Config
	ctx    context.Context // of the goroutines
	cancel context.CancelFunc
	all    sync.WaitGroup

	beat  chan struct{} // one: a heartbeat is due now
	look  chan struct{} // one: the controller's part looks now
	empty chan struct{} // closed when the controller has moved all away from this node, which stops
	taken chan struct{} // one: the controller took a heartbeat of this node, which stops

	mu       sync.Mutex
	sessions *sessions
	leads    bool         // this node is the active controller
	before   kafka.NodeID // the active controller before the last change that is not this node
	several  bool         // the cluster has other nodes
	fenced   bool         // this node is, by the newest Image
	dirsTold int          // how many of OfflineDirs the controller knows
	stopping bool
	assured  time.Time // that nobody leads in this node's place: see Lapsed
	probing  map[kafka.NodeID]bool
	gone     []*metadata.Node // found not alive, to be fenced
}

// Start starts a Watch of a node that is registered.
func Start(cfg Config) (*Watch, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	w := &Watch{
		cfg: cfg, beat: make(chan struct{}, 1), look: make(chan struct{}, 1), empty: make(chan struct{}), taken: make(chan struct{}, 1),
		sessions: newSessions(cfg.Session, 2*cfg.Heartbeat), before: kafka.NoNode, probing: map[kafka.NodeID]bool{},
		assured: time.Now(),
	}
	if cfg.OfflineDirs == nil {
		w.cfg.OfflineDirs = func() [][16]byte { return nil }
	}
	w.DirFailed() // one that failed before now has told nobody
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.all.Go(w.heartbeats)
	w.all.Go(w.control)
	return w, nil
}

// Close ends the goroutines.
func (w *Watch) Close() {
	w.mu.Lock()
	w.cancel() // under the lock: probe starts no goroutine after it
	w.mu.Unlock()
	w.all.Wait()
}

// Changed tells of newer metadata.
func (w *Watch) Changed(img *metadata.Image) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id := img.ControllerID(); id != kafka.NoNode && id != w.cfg.Self {
		w.before = id
	}
	self, ok := img.Node(w.cfg.Self)
	was, wasFenced := w.several, w.fenced
	w.several = len(img.Nodes()) > 1
	w.fenced = !ok || self.Fenced
	if w.several && !was {
		w.assured = time.Now() // as the only node it was its own controller until now
	}
	if w.several && !was || w.fenced && !wasFenced {
		wake(w.beat)
	}
	wake(w.look)
}

// Led tells that this node became the active controller, or ceased to be it.
func (w *Watch) Led(leads bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leads = leads; !leads {
		return
	}
	// Every node begins anew: this one has not listened to their heartbeats. The controller before is known to have been
	// alive when it was last heard of; but others may have heard of it later, and until it is sure to have lapsed it leads
	// what it led.
	now := time.Now()
	w.sessions = newSessions(w.cfg.Session, 2*w.cfg.Heartbeat)
	if w.before != kafka.NoNode {
		if at := w.cfg.LastHeard(w.before); !at.IsZero() {
			w.sessions.touch(at, w.before)
			w.sessions.touch(now.Add(-w.assuranceAge()), w.before)
		}
	}
	w.sessions.keep(now, w.others(w.cfg.Image()))
	for _, id := range w.cfg.Down() {
		w.suspect(id)
	}
	wake(w.look)
}

// Heard tells that the active controller, this node, has taken a heartbeat.
func (w *Watch) Heard(id kafka.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions.touch(time.Now(), id)
}

// Suspect tells that a connection to a node broke.
func (w *Watch) Suspect(id kafka.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.suspect(id)
}

// DirFailed has the controller told at once that there is one more in OfflineDirs.
func (w *Watch) DirFailed() {
	if len(w.cfg.OfflineDirs()) > 0 {
		wake(w.beat)
	}
}

// others are the nodes that the controller watches: those registered, not fenced, and not this one.
func (w *Watch) others(img *metadata.Image) (ids []kafka.NodeID) {
	for _, n := range img.Nodes() {
		if n.ID != w.cfg.Self && !n.Fenced {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
