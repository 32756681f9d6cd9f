package sim

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/core/replica"
)

const (
	topic     = "t"
	maxLag    = 2 * time.Second
	fetchTime = 10 * time.Millisecond // between two fetches of a follower that finds nothing
)

func partition(p int32) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: topic, Partition: p}
}

// replicaOf is one partition on a running node.
type replicaOf struct {
	n         *node
	partition int32
	log       *log
	given     metadata.Partition
	topicID   kafka.TopicID
	watermark kafka.Offset
	leader    *replica.Leader // nil unless this node leads
	waiting   []unacked
	flushing  bool
	fetch     int // number of the fetch under way, which its answer must bear; 0 for none
	fetches   int
}

// unacked is a record whose producer waits.
type unacked struct {
	offset kafka.Offset
	reply  func(kafka.Offset, error)
}

var errNotLeader error = kerr.NotLeaderForPartition

// takeRoles follows a change of the metadata.
func (n *node) takeRoles(was *metadata.Image) {
	t, ok := n.image.Topic(topic)
	if !ok {
		return
	}
	for p := range t.Partitions {
		given := t.Partitions[p]
		r := n.replicas[int32(p)]
		if r == nil {
			r = n.host(int32(p), t.ID)
		}
		r.take(given, was.Offset() < 0)
	}
}

func (n *node) host(p int32, id kafka.TopicID) *replicaOf {
	if n.disk.logs[p] == nil {
		n.disk.logs[p] = &log{}
	}
	r := &replicaOf{n: n, partition: p, topicID: id, log: n.disk.logs[p]}
	r.watermark = min(r.log.watermark, r.log.end())
	n.replicas[p] = r
	n.every(fetchTime, r.poll)
	n.every(maxLag/4, r.proposeISR)
	return r
}

func (r *replicaOf) leadership() replica.Leadership {
	active := replica.Nodes{}
	for _, n := range r.n.image.Nodes() {
		if n.Active() {
			active[n.ID] = n.Epoch
		}
	}
	return replica.Leadership{
		Epoch: r.given.LeaderEpoch, PartitionEpoch: r.given.PartitionEpoch, Replicas: r.given.Replicas, ISR: r.given.ISR,
		MinISR: minISR, Active: active, MaxLag: maxLag,
	}
}

// take follows what the metadata says; it comes with every change, that of the nodes too.
func (r *replicaOf) take(given metadata.Partition, first bool) {
	was := r.given
	r.given = given
	leads := given.Leader == r.n.id && r.n.registered()
	switch {
	case leads && r.leader != nil && was.LeaderEpoch == given.LeaderEpoch:
		if r.leader.Regive(r.now(), r.leadership()) {
			r.advance()
		}
		if len(given.ISR) > len(was.ISR) {
			r.n.w.betray(r.n)
		}
	case leads:
		r.resign()
		r.lead()
	case first || was.LeaderEpoch != given.LeaderEpoch || was.Leader != given.Leader:
		r.resign()
	}
}

func (r *replicaOf) now() time.Time { return epochTime.Add(r.n.monotonic()) }

func (r *replicaOf) lead() {
	w := r.n.w
	w.result.Leaders++
	w.tracef("node %d leads partition %d in epoch %d, end %d, watermark %d", r.n.id, r.partition, r.given.LeaderEpoch, r.log.end(), r.watermark)
	r.log.epochs.Assign(r.given.LeaderEpoch, r.log.end())
	w.check.led(r.partition, r.n, r.given.LeaderEpoch, r.log)
	r.leader = replica.Lead(r.now(), r.n.id, r.leadership(), r.log.end(), r.watermark)
	r.leader.Secured(r.now(), r.log.flushed)
	r.advance()
	r.flush()
}

// resign ends a leadership: nobody knows what becomes of the records whose producers wait.
func (r *replicaOf) resign() {
	r.leader, r.fetch = nil, 0
	waiting := r.waiting
	r.waiting = nil
	for _, u := range waiting {
		u.reply(0, errNotLeader)
	}
}

// advance follows the leader's high watermark.
func (r *replicaOf) advance() {
	r.setWatermark(r.leader.HighWatermark())
	for len(r.waiting) > 0 && r.waiting[0].offset < r.watermark {
		u := r.waiting[0]
		r.waiting = r.waiting[1:]
		u.reply(u.offset, nil)
	}
}

func (r *replicaOf) setWatermark(hw kafka.Offset) {
	r.n.w.check.watermark(r.partition, r.n, r.watermark, hw, r.log)
	r.watermark = hw
	if r.n.w.chance(20) {
		r.log.watermark = hw // a checkpoint
	}
}

// produce appends one record for all replicas.
func (r *replicaOf) produce(value int, reply func(kafka.Offset, error)) {
	if r.leader == nil {
		reply(0, errNotLeader)
		return
	}
	if err := r.leader.EnoughInSync(); err != nil {
		reply(0, err)
		return
	}
	o := r.log.end()
	r.log.append(record{r.leader.Epoch(), value})
	r.waiting = append(r.waiting, unacked{o, reply})
	r.flush()
}

// flush makes durable what is there now; what comes meanwhile is flushed after it.
func (r *replicaOf) flush() {
	if r.flushing || r.log.flushed == r.log.end() {
		return
	}
	r.flushing = true
	end, cuts := r.log.end(), r.log.cuts
	r.n.after(r.n.flushTime(), func() {
		r.flushing = false
		// A log that was cut off since has lost what this flush was about.
		if cuts == r.log.cuts {
			r.log.flushed = max(r.log.flushed, end)
			r.flushed()
		}
		r.flush()
	})
}

func (r *replicaOf) flushed() {
	if r.leader != nil && r.leader.Secured(r.now(), r.log.flushed) {
		r.advance()
	}
}

// fetched is a leader's answer to a fetch.
type fetched struct {
	records   []record
	watermark kafka.Offset
	diverging *replica.EpochEnd
}

// poll asks the leader for what comes after the log's end, once all below is safe: see partition.FetchState.
func (r *replicaOf) poll() {
	n := r.n
	if r.leader != nil || r.given.Leader == kafka.NoNode || r.given.Leader == n.id || r.fetch != 0 || n.epoch < 0 {
		return
	}
	if r.log.flushed < r.log.end() {
		r.flush()
		return
	}
	r.fetches++
	number, to := r.fetches, n.w.node(r.given.Leader)
	r.fetch = number
	n.after(answerTime, func() { r.give(number) })
	ask := replica.Fetch{Replica: n.id, BrokerEpoch: n.epoch, Offset: r.log.end()}
	epoch, last := r.given.LeaderEpoch, r.log.epochs.LatestEpoch()
	asker := n.process()
	n.w.send(n, to, func() {
		peer := to.replicas[r.partition]
		if peer == nil {
			return
		}
		answer, err := peer.serve(epoch, last, ask)
		to.w.send(to, n, func() {
			if !asker() || r.fetch != number || r.given.LeaderEpoch != epoch {
				return
			}
			r.give(number)
			if err == nil {
				r.receive(ask.Offset, answer)
			}
		})
	})
}

func (r *replicaOf) give(number int) {
	if r.fetch == number {
		r.fetch = 0
	}
}

// mostRecords a fetch brings, in the runs where it brings most.
const mostRecords = 20

// serve answers a follower.
func (r *replicaOf) serve(epoch, last kafka.LeaderEpoch, f replica.Fetch) (fetched, error) {
	if r.leader == nil {
		return fetched{}, errNotLeader
	}
	if err := r.leader.CheckEpoch(epoch); err != nil {
		return fetched{}, err
	}
	if last != kafka.NoLeaderEpoch {
		e, end := r.log.endOfEpoch(last)
		if e == kafka.NoLeaderEpoch {
			return fetched{}, kerr.OffsetOutOfRange
		}
		if e < last || end < f.Offset {
			return fetched{diverging: &replica.EpochEnd{Epoch: e, End: end}}, nil
		}
	}
	moved, ready, err := r.leader.Fetched(r.now(), f, r.log.end())
	if err != nil {
		return fetched{}, err
	}
	if moved {
		r.advance()
	}
	if ready {
		r.proposeISR()
	}
	to := min(r.log.end(), f.Offset+r.n.w.fetchMost)
	return fetched{records: r.log.records[f.Offset:to:to], watermark: r.watermark}, nil
}

// receive takes the answer to a fetch from an offset.
func (r *replicaOf) receive(from kafka.Offset, f fetched) {
	if d := f.diverging; d != nil {
		own := replica.EpochEnd{}
		own.Epoch, own.End = r.log.endOfEpoch(d.Epoch)
		r.truncate(replica.TruncationPoint(*d, own, r.log.end()))
		return
	}
	if from != r.log.end() {
		return
	}
	for _, rec := range f.records {
		r.log.append(rec)
	}
	r.flush()
	r.setWatermark(replica.Follow(r.watermark, f.watermark, r.log.end()))
}

func (r *replicaOf) truncate(end kafka.Offset) {
	r.n.w.tracef("node %d cuts partition %d off at %d, end %d, watermark %d", r.n.id, r.partition, end, r.log.end(), r.watermark)
	if end < r.watermark {
		r.n.w.breaks("partition %d: node %d cuts its log off at %d, below its high watermark %d", r.partition, r.n.id, end, r.watermark)
	}
	r.n.w.result.Truncations++
	r.log.truncate(end)
}

// proposeISR asks for another ISR where it should be another.
func (r *replicaOf) proposeISR() {
	if r.leader == nil || r.n.epoch < 0 {
		return
	}
	p, ok := r.leader.Propose(r.now(), maxLag, r.log.end())
	if !ok {
		return
	}
	leader := r.leader
	settle := func(err error) {
		if r.leader == leader && leader.Settled(r.now(), p, err) {
			r.advance()
		}
	}
	open := true
	r.n.after(answerTime, func() {
		if open {
			open = false
			settle(kerr.RequestTimedOut)
		}
	})
	r.n.ask(r.alterPartition(p), func(v any, err error) {
		if !open {
			return
		}
		open = false
		settle(errors.Join(err, outcome(v)))
	})
}

func (r *replicaOf) alterPartition(p replica.Proposal) *kmsg.AlterPartitionRequest {
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version = 3
	req.BrokerID, req.BrokerEpoch = int32(r.n.id), r.n.epoch
	part := kmsg.NewAlterPartitionRequestTopicPartition()
	part.Partition, part.LeaderEpoch, part.PartitionEpoch = r.partition, int32(p.LeaderEpoch), p.PartitionEpoch
	for _, m := range p.ISR {
		e := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
		e.BrokerID, e.BrokerEpoch = int32(m.ID), m.BrokerEpoch
		part.NewEpochISR = append(part.NewEpochISR, e)
	}
	t := kmsg.NewAlterPartitionRequestTopic()
	t.TopicID = r.topicID
	t.Partitions = append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	return req
}

// outcome is what an AlterPartition of one partition came to.
func outcome(v any) error {
	resp, ok := v.(*kmsg.AlterPartitionResponse)
	switch {
	case !ok:
		return nil
	case resp.ErrorCode != 0:
		return kerr.ErrorForCode(resp.ErrorCode)
	case len(resp.Topics) == 1 && len(resp.Topics[0].Partitions) == 1:
		return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	return kerr.UnknownServerError
}

// latest answers where the end is, for readers.
func (r *replicaOf) latest() (kafka.Offset, kafka.LeaderEpoch, error) {
	if r.leader == nil {
		return 0, 0, errNotLeader
	}
	return r.watermark, r.leader.Epoch(), r.leader.LatestKnown()
}

// readable are some records from an offset on.
func (r *replicaOf) readable(from kafka.Offset) []record {
	if from >= r.watermark {
		return nil
	}
	return r.log.records[from:min(r.watermark, from+mostRecords)]
}
