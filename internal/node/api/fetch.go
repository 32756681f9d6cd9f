package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/transport"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// What a fetched byte costs: nothing in user space. A read plan is offsets in segment files, the answer's header is written
// into one buffer, and the files' parts go to the socket by sendfile (small ones by a read into the same buffer).

const (
	fetchTopicIDs  = 13
	fetchHintsFrom = 16
	// fetchNearbyFrom is the first version in which consumers may be sent to a follower, and may read from one (KIP-392).
	fetchNearbyFrom = 11
	// storageErrorFrom is the first version whose clients know KAFKA_STORAGE_ERROR.
	storageErrorFrom = 6
	readCommitted    = 1
)

// fetchResult is what one partition answers.
type fetchResult struct {
	want                         want
	code                         int16
	highWatermark, lso, logStart int64 // -1: not known
	committed                    bool
	aborted                      []commitlog.AbortedTxn
	diverging                    *partition.EpochEnd
	leader                       *leaderHint
	preferred                    kafka.NodeID // the replica to read from instead; NoNode for this one
	plan                         commitlog.ReadPlan
	part                         *partition.Partition // nil when there is none to wait on
}

func (r *fetchResult) release() {
	r.plan.Release()
	r.plan = commitlog.ReadPlan{}
}

// fetching is one Fetch request.
type fetching struct {
	s        *Server
	client   transport.Client
	version  int16
	isFollow bool
	rack     string // of a consumer that may be sent to a replica there
	ctx      fetchContext
	minBytes int
	maxBytes int
	commited bool
	came     time.Time
	deadline time.Time
	results  []fetchResult
}

// fetch answers when enough is there to read, or an error is, or the time is over.
func (s *Server) fetch(ctx context.Context, c *Call, req *kmsg.FetchRequest) Response {
	if req.ReplicaState.ID >= 0 && c.Version >= replicaVersion {
		return s.fetchAsReplica(ctx, c, req)
	}
	byID := c.Version >= fetchTopicIDs
	fc, err := s.sessions.begin(req, byID, c.Received)
	if err != nil {
		return fetchError(c.Version, s.codeOf(err, "fetch session"))
	}
	f := s.newFetching(c, req, fc)
	f.plan(ctx)
	for !f.enough() && f.await(ctx) {
		f.plan(ctx)
	}
	return f.respond(byID, c.Received)
}

func (s *Server) newFetching(c *Call, req *kmsg.FetchRequest, fc fetchContext) *fetching {
	f := &fetching{
		s: s, client: c.Client, version: c.Version, ctx: fc, commited: req.IsolationLevel == readCommitted,
		isFollow: req.ReplicaID >= 0, came: c.Received,
		deadline: c.Received.Add(time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond),
	}
	f.maxBytes = min(int(max(req.MaxBytes, 0)), s.Settings().FetchMaxBytes)
	f.minBytes = min(int(max(req.MinBytes, 0)), f.maxBytes)
	if c.Version >= fetchNearbyFrom && s.Settings().RackAware {
		f.rack = req.Rack
	}
	f.results = make([]fetchResult, len(fc.wants))
	return f
}

// plan plans a read of every partition anew. The limit holds for all together, in their order, but the first batch that
// there is comes whatever its size, so that a consumer always gets on (KIP-74).
func (f *fetching) plan(ctx context.Context) {
	left, first := f.maxBytes, true
	for i := range f.results {
		r := &f.results[i]
		r.release()
		*r = f.read(ctx, f.ctx.wants[i], max(left, 0), first)
		left -= r.plan.Bytes
		first = first && r.plan.Bytes == 0
	}
}

func (f *fetching) read(ctx context.Context, w want, left int, first bool) fetchResult {
	r := fetchResult{want: w, highWatermark: -1, lso: -1, logStart: -1, preferred: kafka.NoNode}
	tp, part, err := f.locate(w)
	if err != nil {
		f.fail(&r, tp, err)
		return r
	}
	fetch := part.Fetch
	if f.version >= fetchNearbyFrom {
		fetch = part.FetchNearby
	}
	var got partition.Fetched
	err = f.s.patiently(ctx, f.came, part, func() (err error) {
		got, err = fetch(partition.Position{
			Offset: w.offset, Epoch: w.epoch, LastEpoch: w.lastEpoch, Committed: f.commited,
			MaxBytes: min(w.maxBytes, left), MinOne: first,
		})
		return err
	})
	if err != nil {
		part.Denied()
		f.fail(&r, tp, err)
		return r
	}
	r.part, r.plan, r.diverging = part, got.Plan, got.Diverging
	r.highWatermark, r.lso, r.logStart = int64(got.HighWatermark), int64(got.LSO), int64(got.Start)
	r.committed, r.aborted = f.commited, got.Aborted
	f.prefer(&r)
	return r
}

// prefer sends a consumer to a replica in its rack, if this node leads and knows one that has what it wants. It gets no records then.
func (f *fetching) prefer(r *fetchResult) {
	if f.rack == "" || r.diverging != nil {
		return
	}
	img := f.s.Metadata.Image()
	id, ok := r.part.PreferredReplica(f.rack, r.want.offset, func(id kafka.NodeID) string {
		if n, ok := img.Node(id); ok && n.Rack != nil {
			return *n.Rack
		}
		return ""
	})
	if ok {
		r.release()
		r.preferred, r.aborted = id, nil
	}
}

// locate finds a wanted partition on this node.
func (f *fetching) locate(w want) (kafka.TopicPartition, *partition.Partition, error) {
	tp := kafka.TopicPartition{Topic: w.key.topic, Partition: w.key.partition}
	byID := w.key.topic == ""
	if byID {
		name, err := f.s.topicName(w.key.id)
		if err != nil {
			return tp, nil, err
		}
		tp.Topic = name
	}
	part, err := f.s.hosted(tp)
	switch {
	case err != nil:
		return tp, nil, err
	case f.isFollow:
		// Followers in this cluster speak replicaVersion at least: this one has another cluster in mind.
		return tp, nil, kerr.NotLeaderForPartition
	case byID && part.TopicID() != w.key.id:
		return tp, nil, kerr.InconsistentTopicID
	}
	return tp, part, nil
}

func (f *fetching) fail(r *fetchResult, tp kafka.TopicPartition, err error) {
	r.code = f.s.codeOf(err, "fetch from "+tp.String())
	if r.code == kerr.KafkaStorageError.Code && f.version < storageErrorFrom {
		r.code = kerr.NotLeaderForPartition.Code
	}
	movedOn := r.code == kerr.NotLeaderForPartition.Code || r.code == kerr.FencedLeaderEpoch.Code
	if movedOn && f.version >= fetchHintsFrom {
		if h, ok := f.s.leaderHint(tp, f.client.Listener); ok {
			r.leader = &h
		}
	}
}

// enough tells whether the answer should go out now.
func (f *fetching) enough() bool {
	bytes := 0
	for i := range f.results {
		r := &f.results[i]
		if r.code != 0 || r.diverging != nil || r.preferred != kafka.NoNode {
			return true
		}
		bytes += r.plan.Bytes
	}
	return bytes >= f.minBytes || len(f.results) == 0
}

// await waits until some partition has more, and tells whether to look again. Its waiter is in the lines of the high
// watermarks: a last stable offset moves only with them.
func (f *fetching) await(ctx context.Context) bool {
	left := time.Until(f.deadline)
	if left <= 0 {
		return false
	}
	w := await.NewWaiter(1)
	for i := range f.results {
		f.results[i].part.AwaitMore(w, kafka.Offset(f.results[i].highWatermark))
	}
	defer func() {
		for i := range f.results {
			if p := f.results[i].part; p != nil {
				p.LeaveMore(w)
			}
		}
	}()
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-w.Woken():
		if w.Broken() {
			f.deadline = time.Time{} // leadership or disk was lost: look once more, and tell
		}
		return true
	case <-t.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// respond makes the answer, and begins or goes on with the session.
func (f *fetching) respond(byID bool, now time.Time) Response {
	for i := range f.results {
		if r := &f.results[i]; r.part != nil {
			r.part.Served(r.plan.Bytes)
		}
	}
	session := noSession
	switch {
	case f.ctx.session != nil:
		session = f.ctx.session.id
		news, err := f.ctx.session.news(f.results, f.ctx.epoch)
		if err != nil {
			for i := range f.results {
				f.results[i].release()
			}
			return fetchError(f.version, f.s.codeOf(err, "fetch session"))
		}
		f.results = news
	case f.ctx.begins && len(f.results) > 0:
		session = f.s.sessions.create(f.results, byID, now)
	}
	return newFetchResponse(f.version, 0, session, f.results)
}
