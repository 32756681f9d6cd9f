package partition

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// Config is what a Set needs. Node, FS, Dirs, Topic, Log and Rand are required; zero of anything else takes the default.
type Config struct {
	Node kafka.NodeID
	FS   vfs.FS
	Dirs []*logdir.Dir
	// Topic gives the typed configuration of a topic from its overrides.
	Topic func(overrides map[string]string) conf.TopicConfig
	Log   *slog.Logger
	// Rand seeds the chance of each log (segment.jitter.ms).
	Rand        *rand.Rand
	FlushMethod FlushMethod
	// ProducerExpiration gives producer.id.expiration.ms as it is now; nil means 24 h.
	ProducerExpiration func() time.Duration
	// VerifyTransactions gives transaction.partition.verification.enable as it is now; nil means false: there is no coordinator to ask.
	VerifyTransactions func() bool
	RetentionInterval  time.Duration // log.retention.check.interval.ms, 5 min
	CheckpointInterval time.Duration // log.flush.offset.checkpoint.interval.ms, 60 s
	WatermarkInterval  time.Duration // replica.high.watermark.checkpoint.interval.ms, 5 s
	// Cleaner gives what compaction may take, as it is now; nil means that nothing is compacted.
	Cleaner func() conf.CleanerConfig
	// OpenAtOnce is how many logs are opened and recovered at the same time (num.recovery.threads.per.data.dir, 2).
	OpenAtOnce int
	// DirFailed, when set, is told of a log dir that went offline.
	DirFailed func(path string, err error)
	// ISRChanged, when set, is told of a partition led here of which a follower caught up: somebody should call its ProposeISR
	// soon. It is called by who serves the follower's fetch, often, and must not block. It is told of damaged replicas, too.
	ISRChanged func(*Partition)
	ReplicaLag time.Duration // replica.lag.time.max.ms, 30 s
	// Incarnation is that of this process. When set, nothing is led here before the metadata has the node registered under it:
	// see nodes.
	Incarnation kafka.TopicID
	// Lapsed tells whether others may lead in this node's place without its knowing; nil means never. What is committed here is
	// served all the same, but nobody is told then that an offset does not exist, or where the log ends.
	Lapsed func() bool
	// Moved, when set, is told of a partition that is, or is about to be, in another log dir than the metadata has it: somebody should
	// have the controller told its Assignment. A move waits for the metadata to show it. It must not block. Nil: there is no controller.
	Moved func(*Partition)
	// MoveRate gives how many bytes a second are copied into each log dir for the partitions that move there; nil means no limit.
	MoveRate func() float64
}

func (c *Config) setDefaults() {
	if c.ProducerExpiration == nil {
		c.ProducerExpiration = func() time.Duration { return 24 * time.Hour }
	}
	if c.VerifyTransactions == nil {
		c.VerifyTransactions = func() bool { return false }
	}
	if c.Lapsed == nil {
		c.Lapsed = func() bool { return false }
	}
	if c.MoveRate == nil {
		c.MoveRate = func() float64 { return math.MaxFloat64 }
	}
	if c.Cleaner == nil {
		c.Cleaner = func() conf.CleanerConfig { return conf.CleanerConfig{Backoff: 15 * time.Second} }
	}
	c.RetentionInterval = cmp.Or(c.RetentionInterval, 5*time.Minute)
	c.CheckpointInterval = cmp.Or(c.CheckpointInterval, time.Minute)
	c.WatermarkInterval = cmp.Or(c.WatermarkInterval, 5*time.Second)
	c.OpenAtOnce = cmp.Or(c.OpenAtOnce, 2)
	c.ReplicaLag = cmp.Or(c.ReplicaLag, 30*time.Second)
}

// Set is the partitions hosted here.
type Set struct {
	Config
	dirs []*dir
	// found is what was on disk at the start.
	found map[kafka.TopicPartition]found
	// futures are the copies of replicas on their way to another log dir that were there at the start.
	futures []foundFuture

	mu    sync.RWMutex
	parts map[kafka.TopicPartition]*Partition
	gone  Traffic // of the partitions that are no longer in parts
	// clearing are folders that are being deleted, by partition: a new one of that name opens after it.
	clearing map[kafka.TopicPartition]chan struct{}
	// preferred is where partitions that exist and are not here are to begin.
	preferred map[kafka.TopicPartition]*dir
	image     atomic.Pointer[metadata.Image] // the last
	chance    *rand.Rand                     // guarded by chanceMu
	chanceMu  sync.Mutex

	nodes atomic.Pointer[nodes] // of the last Image

	upkeep   upkeep
	cleaners *cleaners
	jobs     chan func() // for the janitor
	toOpen   *openQueue
	settling chan struct{} // holds a token for each log that an opener has waiting for its sync
	lookups  chan struct{} // holds a token for each of the lookupsAtOnce
	stop     chan struct{} // closed first: tickers, opener and janitor end
	last     chan struct{} // closed then: flushers end
	helpers  sync.WaitGroup
	flush    sync.WaitGroup
}

type found struct {
	dir *dir
	id  kafka.TopicID
}

// NewSet lists what is in the log dirs and starts the goroutines. Nothing is opened before the metadata names it.
func NewSet(c Config) (*Set, error) {
	c.setDefaults()
	s := &Set{
		Config: c, parts: map[kafka.TopicPartition]*Partition{}, found: map[kafka.TopicPartition]found{},
		clearing: map[kafka.TopicPartition]chan struct{}{}, preferred: map[kafka.TopicPartition]*dir{},
		chance: rand.New(rand.NewPCG(c.Rand.Uint64(), c.Rand.Uint64())),
		jobs:   make(chan func(), 1024), toOpen: newOpenQueue(), settling: make(chan struct{}, settleAtOnce), lookups: make(chan struct{}, lookupsAtOnce),
		stop: make(chan struct{}), last: make(chan struct{}),
	}
	s.cleaners = newCleaners(s)
	s.nodes.Store(&nodes{registered: c.Incarnation.IsZero()})
	for _, ld := range c.Dirs {
		d := &dir{Dir: ld, set: s}
		d.flusher = newFlusher(d, c.FS, c.FlushMethod)
		d.recoveries.dir, d.mover = d, newMover(d)
		s.dirs = append(s.dirs, d)
		if d.offline() != nil {
			continue // what is in it is not known
		}
		if err := s.list(d); err != nil {
			return nil, err
		}
	}
	if err := s.listFutures(); err != nil {
		return nil, err
	}
	s.start()
	return s, nil
}

func (s *Set) list(d *dir) error {
	here, err := d.Partitions()
	if err != nil {
		return err
	}
	for _, f := range here {
		if other, twice := s.found[f.Partition]; twice {
			stays, err := s.settleTwice(f.Partition, other.dir, d)
			if err != nil {
				return err
			}
			if stays == other.dir {
				continue
			}
		}
		s.found[f.Partition] = found{d, f.TopicID}
	}
	return nil
}

// rand makes a source of chance for one log.
func (s *Set) rand() *rand.Rand {
	s.chanceMu.Lock()
	defer s.chanceMu.Unlock()
	return rand.New(rand.NewPCG(s.chance.Uint64(), s.chance.Uint64()))
}

// flushes tells whether appends to p are acknowledged only when they are on disk.
func (s *Set) flushes(p *Partition) bool {
	return p.settings.Load().topic.Durability == conf.DurabilityFlush
}

// Get finds a partition that is hosted here.
func (s *Set) Get(tp kafka.TopicPartition) (*Partition, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.parts[tp]
	if !ok {
		return nil, kerr.UnknownTopicOrPartition
	}
	return p, nil
}

// All lists the partitions hosted here, sorted.
func (s *Set) All() []*Partition {
	s.mu.RLock()
	ps := s.hosted()
	s.mu.RUnlock()
	slices.SortFunc(ps, byName)
	return ps
}

// hosted lists the partitions in any order; s.mu is held.
func (s *Set) hosted() []*Partition {
	ps := make([]*Partition, 0, len(s.parts))
	for _, p := range s.parts {
		ps = append(ps, p)
	}
	return ps
}

func byName(a, b *Partition) int {
	return cmp.Or(cmp.Compare(a.tp.Topic, b.tp.Topic), cmp.Compare(a.tp.Partition, b.tp.Partition))
}

func (s *Set) in(d *dir) []*Partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var ps []*Partition
	for _, p := range s.parts {
		if p.dir() == d {
			ps = append(ps, p)
		}
	}
	return ps
}

// Apply takes a change of the metadata. It opens nothing and waits for no disk: what is new is opened in the background, or by
// who needs it first. It is called by one goroutine, in order.
func (s *Set) Apply(delta *metadata.Delta, img *metadata.Image) {
	s.image.Store(img)
	for _, t := range delta.TopicsDeleted {
		for i := range t.Partitions {
			s.remove(kafka.TopicPartition{Topic: t.Name, Partition: int32(i)}, t.ID)
		}
	}
	nodes := len(delta.NodesChanged) > 0
	if nodes {
		s.takeNodes(img)
	}
	configs := map[string]*settings{}
	news := reconfigured(delta)
	for _, tp := range delta.PartitionsChanged {
		s.change(tp, img, news, configs)
	}
	if nodes {
		s.nodesChanged()
	}
	s.configure(delta, img, configs)
}

func (s *Set) topicSettings(topic string, img *metadata.Image, known map[string]*settings) *settings {
	if c, ok := known[topic]; ok {
		return c
	}
	overrides := img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: topic})
	c := newSettings(s.Topic(overrides), s.ProducerExpiration(), s.VerifyTransactions())
	known[topic] = c
	return c
}

// reconfigured tells of which topics a change of the metadata may change the configuration.
func reconfigured(delta *metadata.Delta) func(topic string) bool {
	all, topics := false, map[string]bool{}
	for _, r := range delta.ConfigsChanged {
		switch r.Type {
		case metadata.TopicConfig:
			topics[r.Name] = true
		case metadata.BrokerConfig:
			all = true
		}
	}
	return func(topic string) bool { return all || topics[topic] }
}

// change takes a change of one partition, with that of its topic's configuration if news says that there may be one.
func (s *Set) change(tp kafka.TopicPartition, img *metadata.Image, news func(topic string) bool, configs map[string]*settings) {
	t, ok := img.Topic(tp.Topic)
	if !ok || int(tp.Partition) >= len(t.Partitions) {
		return
	}
	given := t.Partitions[tp.Partition]
	if !slices.Contains(given.Replicas, s.Node) {
		s.remove(tp, t.ID)
		return
	}
	if p, err := s.Get(tp); err == nil && p.id == t.ID {
		var c *settings
		if news(tp.Topic) {
			c = s.topicSettings(tp.Topic, img, configs)
		}
		if err := p.update(given, c); err != nil {
			s.Log.Error("leadership not taken up", "partition", tp.String(), "err", err)
		}
		return
	}
	s.host(tp, t.ID, given, s.topicSettings(tp.Topic, img, configs))
}

// host takes a new partition in.
func (s *Set) host(tp kafka.TopicPartition, id kafka.TopicID, given metadata.Partition, c *settings) {
	s.mu.Lock()
	shared := len(given.Replicas) > 1
	d := s.place(tp, id, shared, given.Directory(s.Node))
	p := &Partition{set: s, tp: tp, id: id}
	p.countIn(d)
	delete(s.preferred, tp)
	p.place.Store(d)
	p.settings.Store(c)
	p.role.given = given
	f, there := s.found[tp]
	s.resumeMove(p, there && (f.id == id || f.id.IsZero()))
	delete(s.found, tp)
	// The folder is that of an earlier topic: of one whose deletion was cut short, or whose metadata was lost. Or it is this one's, and
	// its file is damaged: a replica that others may count on does not begin anew for that.
	other := there && f.id != id && !f.id.IsZero()
	if other && !shared {
		s.clearLocked(tp, func() error { return f.dir.setAside(tp) })
	}
	if gone, ok := s.clearing[tp]; ok {
		p.cleared = gone
	}
	s.parts[tp] = p
	s.mu.Unlock()
	switch {
	case other && shared:
		p.role.RLock()
		p.hurt(fmt.Errorf("%w, %v, and not %v", errOther, f.id, id))
		p.role.RUnlock()
	case p.takesUp != "" && shared:
		p.role.RLock()
		p.hurt(fmt.Errorf("there is only its copy that was to move here: %w", commitlog.ErrShort))
		p.role.RUnlock()
	}
	s.toOpen.add(p)
}

// remove gives a partition up and deletes its folder in the background.
func (s *Set) remove(tp kafka.TopicPartition, id kafka.TopicID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, exists := s.image.Load().Topic(tp.Topic); !exists || t.ID != id {
		delete(s.preferred, tp)
	}
	p, ok := s.parts[tp]
	if !ok || p.id != id {
		return
	}
	delete(s.parts, tp)
	s.gone.Add(p.traffic.stats())
	p.countIn(nil)
	s.clearLocked(tp, func() error {
		log, m := p.endMoving(fmt.Errorf("%v is deleted: %w", tp, kerr.UnknownTopicOrPartition))
		s.awaitGone(m)
		if d := p.damage.Load(); d != nil && errors.Is(d.why, errOther) {
			return p.dir().setAside(tp)
		}
		return p.dir().delete(tp, log)
	})
}

// clearLocked deletes a folder on the janitor's goroutine; s.mu is held.
func (s *Set) clearLocked(tp kafka.TopicPartition, remove func() error) {
	before, gone := s.clearing[tp], make(chan struct{})
	s.clearing[tp] = gone
	s.later(func() {
		defer close(gone)
		if before != nil {
			<-before
		}
		if err := s.removeFolder(remove); err != nil {
			s.Log.Error("partition not deleted", "partition", tp.String(), "err", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.clearing[tp] == gone {
			delete(s.clearing, tp)
		}
	})
}

// removeFolder goes on until there is room for a removal: a folder that stays would be in the way of a new topic of its name.
func (s *Set) removeFolder(remove func() error) error {
	for {
		err := remove()
		if !errors.Is(err, commitlog.ErrNoRoom) {
			return err
		}
		select {
		case <-time.After(retryAfter):
		case <-s.stop:
			return err
		}
	}
}

func (s *Set) configure(delta *metadata.Delta, img *metadata.Image, known map[string]*settings) {
	for _, r := range delta.ConfigsChanged {
		switch r.Type {
		case metadata.TopicConfig:
			if t, ok := img.Topic(r.Name); ok {
				s.reconfigure(t, s.topicSettings(r.Name, img, known))
			}
		case metadata.BrokerConfig:
			s.Reconfigure(img)
			return
		}
	}
}

// Reconfigure works out every topic's configuration anew: the node's defaults have changed.
func (s *Set) Reconfigure(img *metadata.Image) {
	known := map[string]*settings{}
	for t := range img.Topics() {
		s.reconfigure(t, s.topicSettings(t.Name, img, known))
	}
}

func (s *Set) reconfigure(t *metadata.Topic, c *settings) {
	for i := range t.Partitions {
		if p, err := s.Get(kafka.TopicPartition{Topic: t.Name, Partition: int32(i)}); err == nil {
			p.configure(c)
		}
	}
}

// Strays lists partitions whose folders were found at the start and that the metadata has not named since.
func (s *Set) Strays() []kafka.TopicPartition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var tps []kafka.TopicPartition
	for tp := range s.found {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, func(a, b kafka.TopicPartition) int { return cmp.Compare(a.String(), b.String()) })
	return tps
}
