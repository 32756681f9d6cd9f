package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/transport"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// What a produced batch costs, from socket to acknowledgement: its bytes arrive in a pooled buffer by one read, are looked
// at twice where they lie (checksum; record lengths, keys and timestamps), get offset and epoch stamped in place, and go to
// the page cache by one write; nothing is copied. Its flush and the write of its answer are shared with others. Per request
// kmsg allocates the request, its topics and partitions, and here the answer, about ten small objects together.

// adminClient is the client id that may write to internal topics, as in Apache Kafka.
const adminClient = "__admin_client"

// zstdFrom is the first version of Produce whose clients know zstd, hintsFrom the first that takes leader hints (KIP-951).
const (
	zstdFrom         = 7
	produceHintsFrom = 10
	produceTopicIDs  = 13
)

// produced is a Produce request whose batches are appended, and may still have to be flushed and replicated.
type produced struct {
	s        *Server
	client   transport.Client
	version  int16
	acks     int16
	pause    time.Duration // of the connection, before it
	came     time.Time
	deadline time.Time
	resp     *kmsg.ProduceResponse
	waiter   *await.Waiter
	waits    []ackWait
}

// refusals are why a request is refused as a whole, and why its transaction may not write to some of its partitions; nil for most.
type refusals struct {
	whole      error
	partitions map[kafka.TopicPartition]error
}

// ackWait is one batch that is not acknowledged yet.
type ackWait struct {
	part  *partition.Partition
	epoch kafka.LeaderEpoch
	next  kafka.Offset // what must be safe is below
	tp    kafka.TopicPartition
	// answer is the partition's place in the response.
	answer *kmsg.ProduceResponseTopicPartition
}

// beginProduce appends what a Produce request carries. It waits for the transaction coordinator where a transaction begins.
func (s *Server) beginProduce(ctx context.Context, c *Call) transport.Pending {
	req := c.Request.(*kmsg.ProduceRequest)
	p := &produced{
		s: s, client: c.Client, version: c.Version, acks: req.Acks, pause: c.Pause, came: c.Received, resp: kmsg.NewPtrProduceResponse(),
		deadline: c.Received.Add(time.Duration(max(req.TimeoutMillis, 0)) * time.Millisecond),
	}
	refused := refusals{whole: s.refuseProduce(req)}
	if refused.whole == nil && s.Verify != nil {
		refused.partitions, refused.whole = p.verify(ctx, req)
	}
	p.resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	if p.acks != 0 {
		p.waits = make([]ackWait, 0, batches(req))
	}
	for i := range req.Topics {
		p.topic(ctx, &req.Topics[i], &p.resp.Topics[i], refused)
	}
	p.join()
	return p
}

func batches(req *kmsg.ProduceRequest) (n int) {
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	return n
}

// refuseProduce is why a request is refused as a whole.
func (s *Server) refuseProduce(req *kmsg.ProduceRequest) error {
	switch {
	case req.TransactionID != nil && s.Verify == nil:
		return errNoTransactions
	case req.Acks < -1 || req.Acks > 1:
		return kerr.InvalidRequiredAcks
	}
	return nil
}

// errNoTransactions is the answer to anything transactional where no coordinator is. Clients take it as final and show its text.
var errNoTransactions = fmt.Errorf("transactions are not supported: %w", kerr.UnsupportedVersion)

func (p *produced) topic(ctx context.Context, t *kmsg.ProduceRequestTopic, answer *kmsg.ProduceResponseTopic, refused refusals) {
	*answer = kmsg.NewProduceResponseTopic()
	answer.Topic, answer.TopicID = t.Topic, t.TopicID
	answer.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
	name, err := t.Topic, refused.whole
	if err == nil {
		name, err = p.topicName(t)
	}
	for i := range t.Partitions {
		a := &answer.Partitions[i]
		*a = kmsg.NewProduceResponseTopicPartition()
		a.Partition, a.BaseOffset = t.Partitions[i].Partition, -1
		tp := kafka.TopicPartition{Topic: name, Partition: a.Partition}
		perr := err
		if perr == nil {
			perr = p.append(ctx, tp, t.TopicID, t.Partitions[i].Records, a, refused.partitions)
		}
		if perr != nil {
			p.fail(tp, a, perr)
		}
	}
}

// topicName finds the topic of a part of the request, if it may be written to.
func (p *produced) topicName(t *kmsg.ProduceRequestTopic) (name string, err error) {
	name = t.Topic
	if p.version >= produceTopicIDs {
		name, err = p.s.topicName(t.TopicID)
	}
	if err == nil && kafka.IsInternalTopic(name) && p.client.ID != adminClient {
		err = kerr.InvalidTopicException
	}
	return name, err
}

// append appends one partition's batch and notes what its acknowledgement waits for.
func (p *produced) append(ctx context.Context, tp kafka.TopicPartition, id kafka.TopicID, records []byte, a *kmsg.ProduceResponseTopicPartition, unverified map[kafka.TopicPartition]error) error {
	part, err := p.s.hosted(tp)
	switch {
	case err != nil:
		return err
	case p.version >= produceTopicIDs && part.TopicID() != id: // deleted and made anew since its name was looked up
		return kerr.UnknownTopicID
	}
	now := time.Now()
	v, err := p.s.inflation.validate(ctx, records, part.Rules(now, p.version >= zstdFrom))
	if err == nil && v.Header.Attributes.IsTransactional() {
		if err = unverified[tp]; p.s.Verify == nil {
			err = errNoTransactions
		}
	}
	if err != nil {
		part.Refused()
		return err
	}
	var done commitlog.Appended
	var epoch kafka.LeaderEpoch
	err = p.s.patiently(ctx, p.came, part, func() (err error) {
		done, epoch, err = part.Append(now, v, p.acks, commitlog.OriginClient, p.pause)
		return err
	})
	if err != nil {
		return err
	}
	a.BaseOffset, a.LogAppendTime, a.LogStartOffset = int64(done.First), done.LogAppendTime, int64(done.LogStart)
	if p.acks != 0 {
		p.waits = append(p.waits, ackWait{part: part, epoch: epoch, next: done.Last + 1, tp: tp, answer: a})
	}
	return nil
}

// join takes places for all that is waited for. What needs no waiting is settled by the first look in Finish.
func (p *produced) join() {
	if len(p.waits) == 0 {
		return
	}
	p.waiter = await.NewWaiter(len(p.waits))
	for _, w := range p.waits {
		w.part.Await(p.waiter, p.acks, w.next)
	}
}

// Ready tells whether Finish would not wait.
func (p *produced) Ready() bool { return len(p.waits) == 0 || p.waiter.Done() }

// Finish waits until every batch is as safe as its acks ask, or can no longer be, or the request's time is over.
func (p *produced) Finish(ctx context.Context) Response {
	for len(p.waits) > 0 {
		inTime, gone := p.wait(ctx)
		if gone {
			p.leave()
			return nil
		}
		p.settle(inTime)
	}
	return p.answer()
}

func (p *produced) wait(ctx context.Context) (inTime, gone bool) {
	if p.waiter.Done() {
		return true, false
	}
	t := time.NewTimer(time.Until(p.deadline))
	defer t.Stop()
	select {
	case <-p.waiter.Woken():
		return true, false
	case <-t.C:
		return false, false
	case <-ctx.Done():
		return false, true
	}
}

// settle answers what is decided. What is not waits again: one partition that broke wakes the waiter for all.
func (p *produced) settle(inTime bool) {
	p.leave()
	open := p.waits[:0]
	for _, w := range p.waits {
		acked, err := w.part.Acked(p.acks, w.epoch, w.next)
		switch {
		case err != nil:
			p.fail(w.tp, w.answer, err)
		case acked:
		case !inTime || w.part.Broken():
			p.fail(w.tp, w.answer, kerr.RequestTimedOut)
		default:
			open = append(open, w)
		}
	}
	p.waits = open
	p.join()
}

func (p *produced) leave() {
	for _, w := range p.waits {
		w.part.Leave(p.waiter)
	}
}

// fail answers one partition with an error, and where that says that another node leads, with which.
func (p *produced) fail(tp kafka.TopicPartition, a *kmsg.ProduceResponseTopicPartition, err error) {
	a.ErrorCode = p.s.codeOf(err, "produce to "+tp.String())
	p.s.failures.count(kmsg.Produce, a.ErrorCode)
	a.BaseOffset, a.LogAppendTime, a.LogStartOffset = -1, -1, -1
	if a.ErrorCode != kerr.UnknownServerError.Code {
		a.ErrorMessage = words(err)
	}
	var records *batch.RecordErrors
	if errors.As(err, &records) {
		addRecordErrors(a, records)
	}
	if p.version >= produceHintsFrom && a.ErrorCode == kerr.NotLeaderForPartition.Code {
		if hint, ok := p.s.leaderHint(tp, p.client.Listener); ok {
			a.CurrentLeader.LeaderID, a.CurrentLeader.LeaderEpoch = int32(hint.leader), int32(hint.epoch)
			p.resp.Brokers = addBroker(p.resp.Brokers, hint)
		}
	}
}

func addRecordErrors(a *kmsg.ProduceResponseTopicPartition, e *batch.RecordErrors) {
	a.ErrorMessage = &e.Message
	for _, r := range e.Errors {
		er := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		er.RelativeOffset, er.ErrorMessage = r.Index, &r.Message
		a.ErrorRecords = append(a.ErrorRecords, er)
	}
}

func addBroker(to []kmsg.ProduceResponseBroker, h leaderHint) []kmsg.ProduceResponseBroker {
	for i := range to {
		if to[i].NodeID == int32(h.leader) {
			return to
		}
	}
	if h.host == "" {
		return to
	}
	b := kmsg.NewProduceResponseBroker()
	b.NodeID, b.Host, b.Port, b.Rack = int32(h.leader), h.host, h.port, h.rack
	return append(to, b)
}

// answer is the response; with acks=0 there is none, and the only way to tell of an error is to close the connection.
func (p *produced) answer() Response {
	if p.acks != 0 {
		return conform(p.resp, p.version)
	}
	for _, t := range p.resp.Topics {
		for _, a := range t.Partitions {
			if a.ErrorCode != 0 {
				return transport.Hangup{Reason: fmt.Sprintf("produce with acks=0 to %s-%d: %v", t.Topic, a.Partition, kerr.ErrorForCode(a.ErrorCode))}
			}
		}
	}
	return nil
}
