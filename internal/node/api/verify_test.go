package api

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/node/groups"
	"github.com/headrace/headrace/internal/node/verify"
)

// txnWorld is a node whose transactions are coordinated by a script.
type txnWorld struct {
	*world
	asked []*kmsg.AddPartitionsToTxnRequest
	// answer is the code for a partition; nil has all in. It may do what happens meanwhile.
	answer func(tp kafka.TopicPartition) int16
	fails  error // of finding the coordinator
}

func newTxnWorld(t *testing.T) *txnWorld {
	w := &txnWorld{world: newWorld(t)}
	w.verifies = true
	v := verify.New(verify.Config{
		Coordinator: func(context.Context, string) (kafka.NodeID, error) { return 1, w.fails },
		Ask:         w.coordinate,
		Backoff:     func() (each, most time.Duration) { return 0, 0 },
	})
	t.Cleanup(v.Close)
	c := w.srv.Config
	c.Verify = v
	w.srv = New(c)
	return w
}

func (w *txnWorld) coordinate(_ context.Context, _ kafka.NodeID, req *kmsg.AddPartitionsToTxnRequest) (*kmsg.AddPartitionsToTxnResponse, error) {
	w.asked = append(w.asked, req)
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	one := kmsg.AddPartitionsToTxnResponseTransaction{TransactionalID: req.Transactions[0].TransactionalID}
	for _, t := range req.Transactions[0].Topics {
		topic := kmsg.AddPartitionsToTxnResponseTransactionTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			rp := kmsg.AddPartitionsToTxnResponseTransactionTopicPartition{Partition: p}
			if w.answer != nil {
				rp.ErrorCode = w.answer(at(t.Topic, p))
			}
			topic.Partitions = append(topic.Partitions, rp)
		}
		one.Topics = append(one.Topics, topic)
	}
	resp.Transactions = append(resp.Transactions, one)
	return resp, nil
}

// questions are what was asked since the last call: how many partitions in each request.
func (w *txnWorld) questions() (partitions []int) {
	for _, req := range w.asked {
		n := 0
		for _, t := range req.Transactions[0].Topics {
			n += len(t.Partitions)
		}
		partitions = append(partitions, n)
	}
	w.asked = nil
	return partitions
}

func txnBatch(id kafka.ProducerID, epoch kafka.ProducerEpoch, sequence int32) []byte {
	return recordsOf(batch.BuilderConfig{ProducerID: id, Epoch: epoch, BaseSequence: sequence, Transactional: true}, "x")
}

// txnProduce sends a batch to each partition of a topic, and gives the codes.
func (w *txnWorld) txnProduce(version int16, id kafka.TopicID, batches ...[]byte) (codes []int16) {
	w.t.Helper()
	req := produceRequest("t", id, 0, -1, batches[0])
	req.TransactionID = kmsg.StringPtr("x")
	for i, b := range batches[1:] {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = int32(i+1), b
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	for _, p := range ask[*kmsg.ProduceResponse](w.world, req, version).Topics[0].Partitions {
		codes = append(codes, p.ErrorCode)
	}
	return codes
}

func (w *txnWorld) want(got []int16, want ...*kerr.Error) {
	w.t.Helper()
	var codes []int16
	for _, is := range want {
		codes = append(codes, 0)
		if is != nil {
			codes[len(codes)-1] = is.Code
		}
	}
	if !slices.Equal(got, codes) {
		w.t.Errorf("codes %v, want %v", got, codes)
	}
}

// The coordinator is asked once a transaction about the partitions that it begins in, all in one question.
func TestTheCoordinatorIsAskedOnceATransaction(t *testing.T) {
	for _, version := range []int16{9, 11, 12, 13} {
		w := newTxnWorld(t)
		id := w.topic("t", 3, nil)
		w.want(w.txnProduce(version, id, txnBatch(5, 0, 0), txnBatch(5, 0, 0)), nil, nil)
		if one := w.asked[0].Transactions[0]; one.TransactionalID != "x" || one.ProducerID != 5 || one.VerifyOnly != (version < 12) {
			t.Errorf("version %d asks %+v", version, one)
		}
		w.want(w.txnProduce(version, id, txnBatch(5, 0, 1), txnBatch(5, 0, 1), txnBatch(5, 0, 0)), nil, nil, nil)
		w.want(w.txnProduce(version, id, txnBatch(5, 0, 2), txnBatch(5, 0, 1)), nil, nil) // the second is a repetition
		if n := w.questions(); !slices.Equal(n, []int{2, 1}) {
			t.Errorf("version %d: asked about %v partitions", version, n)
		}
		epoch := kafka.ProducerEpoch(0)
		if version >= 12 {
			epoch = 1
		}
		codes := w.mark(2, markerOf(5, int16(epoch), 0, true, int8(2*epoch), at("t", 0), at("t", 1), at("t", 2)))
		w.want(codes, nil, nil, nil)
		w.want(w.txnProduce(version, id, txnBatch(5, epoch, 3*int32(1-epoch))), nil)
		if n := w.questions(); !slices.Equal(n, []int{1}) {
			t.Errorf("version %d: asked about %v partitions for the next transaction", version, n)
		}
	}
}

func TestProducersAreToldWhatTheCoordinatorSays(t *testing.T) {
	for _, row := range []struct {
		says         *kerr.Error
		v9, v11, v12 *kerr.Error
	}{
		{says: kerr.TransactionAbortable, v9: kerr.InvalidTxnState, v11: kerr.TransactionAbortable, v12: kerr.TransactionAbortable},
		{says: kerr.InvalidTxnState, v9: kerr.InvalidTxnState, v11: kerr.InvalidTxnState, v12: kerr.InvalidTxnState},
		{says: kerr.InvalidProducerIDMapping, v9: kerr.InvalidProducerIDMapping, v11: kerr.InvalidProducerIDMapping, v12: kerr.InvalidProducerIDMapping},
		{says: kerr.ProducerFenced, v9: kerr.InvalidProducerEpoch, v11: kerr.InvalidProducerEpoch, v12: kerr.InvalidProducerEpoch},
		{says: kerr.NotCoordinator, v9: kerr.NotEnoughReplicas, v11: kerr.NotEnoughReplicas, v12: kerr.NotEnoughReplicas},
		{says: kerr.CoordinatorLoadInProgress, v9: kerr.NotEnoughReplicas, v11: kerr.NotEnoughReplicas, v12: kerr.NotEnoughReplicas},
		{says: kerr.CoordinatorNotAvailable, v9: kerr.NotEnoughReplicas, v11: kerr.NotEnoughReplicas, v12: kerr.NotEnoughReplicas},
		{says: kerr.ConcurrentTransactions, v9: kerr.NotEnoughReplicas, v11: kerr.NotEnoughReplicas, v12: kerr.ConcurrentTransactions},
	} {
		for version, is := range map[int16]*kerr.Error{9: row.v9, 11: row.v11, 12: row.v12} {
			w := newTxnWorld(t)
			id := w.topic("t", 2, nil)
			w.answer = func(tp kafka.TopicPartition) int16 { return row.says.Code * int16(tp.Partition) }
			w.want(w.txnProduce(version, id, txnBatch(5, 0, 0), txnBatch(5, 0, 0)), nil, is)
			if lso := w.lso(at("t", 1)); lso != 0 || w.end(at("t", 1)) != 0 {
				t.Errorf("version %d, %v: something is written", version, row.says.Message)
			}
			w.answer = nil
			w.want(w.txnProduce(version, id, txnBatch(5, 0, 1), txnBatch(5, 0, 0)), nil, nil)
		}
	}
	w := newTxnWorld(t)
	id := w.topic("t", 1, nil)
	w.fails = kerr.CoordinatorNotAvailable
	w.want(w.txnProduce(13, id, txnBatch(5, 0, 0)), kerr.NotEnoughReplicas)
}

func (w *txnWorld) end(tp kafka.TopicPartition) kafka.Offset {
	part, err := w.set.Get(tp)
	if err != nil {
		w.t.Fatal(err)
	}
	_, hw, _, _, err := part.Offsets()
	if err != nil {
		w.t.Fatal(err)
	}
	return hw
}

// A transaction that ends while its coordinator is asked leaves nothing behind that no marker would end.
func TestAMarkerBetweenQuestionAndWriteIsSeen(t *testing.T) {
	for _, version := range []int16{11, 12} {
		w := newTxnWorld(t)
		id := w.topic("t", 1, nil)
		epoch := int16(0)
		if version == 12 {
			epoch = 1
		}
		w.answer = func(tp kafka.TopicPartition) int16 {
			w.want(w.mark(2, markerOf(5, epoch, 0, false, int8(2*epoch), tp)), nil)
			return 0
		}
		is := kerr.InvalidTxnState
		if version == 12 {
			is = kerr.InvalidProducerEpoch
		}
		w.want(w.txnProduce(version, id, txnBatch(5, 0, 0)), is)
		if lso, end := w.lso(at("t", 0)), w.end(at("t", 0)); lso != 1 || end != 1 {
			t.Errorf("version %d: last stable offset %d, high watermark %d", version, lso, end)
		}
	}
}

// What fails for now comes again, and what its client sent behind it does not overtake it.
func TestNothingOvertakesABatchWhoseCoordinatorWasAway(t *testing.T) {
	w := newTxnWorld(t)
	id := w.topic("t", 1, nil)
	w.fails = kerr.NotCoordinator
	w.want(w.txnProduce(13, id, txnBatch(5, 0, 0)), kerr.NotEnoughReplicas)
	w.fails = nil
	w.want(w.txnProduce(13, id, txnBatch(5, 0, 1)), kerr.OutOfOrderSequenceNumber)
	w.want(w.txnProduce(13, id, txnBatch(5, 0, 0)), nil)
	w.want(w.txnProduce(13, id, txnBatch(5, 0, 1)), nil)
	for _, trouble := range []*kerr.Error{kerr.ConcurrentTransactions, kerr.NetworkException, kerr.UnknownServerError} {
		w := newTxnWorld(t)
		id := w.topic("t", 1, nil)
		w.answer = func(kafka.TopicPartition) int16 { return trouble.Code }
		w.txnProduce(11, id, txnBatch(5, 0, 7))
		w.answer = nil
		w.want(w.txnProduce(11, id, txnBatch(5, 0, 8)), kerr.OutOfOrderSequenceNumber)
		w.want(w.txnProduce(11, id, txnBatch(5, 0, 7)), nil)
	}
}

// rawConn sends requests without waiting for answers.
type rawConn struct {
	t *testing.T
	net.Conn
	sent int32
}

func (w *txnWorld) dial(t *testing.T, l net.Listener) *rawConn {
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &rawConn{t: t, Conn: nc}
}

func (c *rawConn) send(id kafka.TopicID, txn *string, records []byte) {
	c.t.Helper()
	req := produceRequest("t", id, 0, -1, records)
	req.Version, req.TransactionID = 13, txn
	c.sent++
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, c.sent)); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads the next answer: the number of its request, and the offset of its batch.
func (c *rawConn) answer() (number int32, offset int64) {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		c.t.Fatal(err)
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = 13
	if err := resp.ReadFrom(body[5:]); err != nil { // behind the number and no tags
		c.t.Fatal(err)
	}
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		c.t.Errorf("code %d", p.ErrorCode)
	}
	return int32(binary.BigEndian.Uint32(body)), p.BaseOffset
}

// While the coordinator is asked about one producer's batch, those behind it on the connection wait, and other connections do not.
func TestAQuestionHoldsUpItsOwnConnectionAlone(t *testing.T) {
	w := newTxnWorld(t)
	id := w.topic("t", 1, nil)
	asked, answered := make(chan struct{}), make(chan struct{})
	w.answer = func(kafka.TopicPartition) int16 {
		close(asked)
		<-answered
		return 0
	}
	l, _ := listen(t)
	w.serve(l)
	a, b := w.dial(t, l), w.dial(t, l)
	for seq := range int32(5) {
		a.send(id, kmsg.StringPtr("x"), txnBatch(5, 0, seq))
	}
	<-asked
	for i := range int64(3) {
		b.send(id, nil, records("y"))
		if _, offset := b.answer(); offset != i {
			t.Errorf("another's batch %d is at %d", i, offset)
		}
	}
	close(answered)
	for i := range int32(5) {
		if number, offset := a.answer(); number != i+1 || offset != int64(i)+3 {
			t.Errorf("answer %d is that of request %d, at offset %d", i+1, number, offset)
		}
	}
	if n := w.questions(); !slices.Equal(n, []int{1}) {
		t.Errorf("asked about %v", n)
	}
}

func TestRequestsThatMixTransactions(t *testing.T) {
	w := newTxnWorld(t)
	w.topic("t", 2, nil)
	plain := recordsOf(batch.BuilderConfig{ProducerID: 6, BaseSequence: 0}, "x")

	req := produceRequest("t", kafka.TopicID{}, 0, -1, txnBatch(5, 0, 0))
	w.want([]int16{producedPartition(w.world, req, 9).ErrorCode}, kerr.TransactionalIDAuthorizationFailed)
	w.want(w.txnProduce(9, kafka.TopicID{}, txnBatch(5, 0, 0), txnBatch(6, 0, 0)), kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping)
	w.want(w.txnProduce(9, kafka.TopicID{}, txnBatch(5, 0, 0), txnBatch(5, 1, 0)), kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping)
	if n := w.questions(); n != nil {
		t.Errorf("asked about %v", n)
	}
	w.want(w.txnProduce(9, kafka.TopicID{}, txnBatch(5, 0, 0), plain), nil, nil)
	if n := w.questions(); !slices.Equal(n, []int{1}) {
		t.Errorf("asked about %v", n)
	}
	outside := recordsOf(batch.BuilderConfig{ProducerID: 5, BaseSequence: 1}, "x")
	w.want(w.txnProduce(9, kafka.TopicID{}, outside), kerr.InvalidTxnState)
	// Of what is not here nobody is asked.
	w.want(w.txnProduce(9, kafka.TopicID{}, txnBatch(7, 0, 0), txnBatch(7, 0, 0), txnBatch(7, 0, 0)), nil, nil, kerr.UnknownTopicOrPartition)
	if n := w.questions(); !slices.Equal(n, []int{2}) {
		t.Errorf("asked about %v", n)
	}
}

// Where it is switched off, clients that have told the coordinator themselves are trusted; for the others it is told all the same.
func TestWithoutVerificationOnlyThoseThatDoNotTellAreAsked(t *testing.T) {
	w := newTxnWorld(t)
	w.verifies = false
	id := w.topic("t", 1, nil)
	w.want(w.txnProduce(11, id, txnBatch(5, 0, 0)), nil)
	if n := w.questions(); n != nil {
		t.Errorf("asked about %v", n)
	}
	w.want(w.txnProduce(12, id, txnBatch(6, 0, 0)), nil)
	if n := w.questions(); !slices.Equal(n, []int{1}) {
		t.Errorf("asked about %v", n)
	}
	w.verifies = true
	w.set.Reconfigure(w.Image())
	w.want(w.txnProduce(11, id, txnBatch(7, 0, 0)), nil)
	if n := w.questions(); !slices.Equal(n, []int{1}) {
		t.Errorf("asked about %v", n)
	}
}

// coordinateGroups has the node lead the one partition of __consumer_offsets.
func (w *txnWorld) coordinateGroups() *groups.Groups {
	w.topic(kafka.OffsetsTopic, 1, nil)
	part, err := w.set.Get(at(kafka.OffsetsTopic, 0))
	if err != nil {
		w.t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	g := groups.New(groups.Config{Partitions: 1, Group: group.DefaultConfig(rnd), Image: w.Image(), Rand: rnd})
	w.t.Cleanup(g.Close)
	g.Lead(0, part.CoordinatorLog(), w.leaderEpoch(at(kafka.OffsetsTopic, 0)))
	for g.Loading() {
		time.Sleep(time.Millisecond)
	}
	w.srv.Groups = g
	return g
}

func (w *txnWorld) leaderEpoch(tp kafka.TopicPartition) kafka.LeaderEpoch {
	p, ok := w.Image().Partition(tp)
	if !ok {
		w.t.Fatalf("no partition %v", tp)
	}
	return p.LeaderEpoch
}

func (w *txnWorld) txnCommit(version int16, id string, epoch int16, partitions ...int32) (codes []int16) {
	w.t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Group, req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, "x", 5, epoch
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic = "t"
	for _, p := range partitions {
		rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = p, 9, kmsg.StringPtr("m")
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics = append(req.Topics, t)
	for _, t := range ask[*kmsg.TxnOffsetCommitResponse](w.world, req, version).Topics {
		for _, p := range t.Partitions {
			codes = append(codes, p.ErrorCode)
		}
	}
	return codes
}

func (w *txnWorld) committed() int64 {
	w.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.Partitions = "t", []int32{0}
	g.Group, g.Topics = "g", append(g.Topics, topic)
	req.Groups, req.RequireStable = append(req.Groups, g), true
	p := ask[*kmsg.OffsetFetchResponse](w.world, req, 9).Groups[0].Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return -int64(p.ErrorCode)
	}
	return p.Offset
}

// Offsets are part of a transaction as records are: the coordinator is asked before, or told.
func TestOffsetsOfATransactionAreVerified(t *testing.T) {
	for version := int16(0); version <= 5; version++ {
		w := newTxnWorld(t)
		w.topic("t", 1, nil)
		w.coordinateGroups()
		w.want(w.txnCommit(version, "g", 0, 0, 1, -1), kerr.UnknownTopicOrPartition, kerr.UnknownTopicOrPartition, nil)
		if one := w.asked[0].Transactions[0]; one.VerifyOnly != (version < 5) || one.Topics[0].Topic != kafka.OffsetsTopic {
			t.Errorf("version %d asks %+v", version, one)
		}
		w.want(w.txnCommit(version, "g", 0, 0), nil)
		if got := w.committed(); got != -int64(kerr.UnstableOffsetCommit.Code) {
			t.Errorf("version %d: offset %d is committed before the marker", version, got)
		}
		epoch := int16(version / 5)
		w.want(w.mark(2, markerOf(5, epoch, 0, true, int8(2*epoch), at(kafka.OffsetsTopic, 0))), nil)
		if got := w.committed(); got != 9 {
			t.Errorf("version %d: offset %d is committed", version, got)
		}
		w.want(w.txnCommit(version, "", epoch, 0), kerr.InvalidGroupID)
		w.want(w.txnCommit(version, "g", epoch, 7), kerr.UnknownTopicOrPartition)
		if n := w.questions(); !slices.Equal(n, []int{1}) {
			t.Errorf("version %d: asked about %v partitions", version, n)
		}
		if version == 5 {
			w.want(w.txnCommit(version, "g", 0, 0), kerr.InvalidProducerEpoch)
		}
	}
}

func TestGroupsSayWhatTheTransactionsCoordinatorSays(t *testing.T) {
	for _, row := range []struct{ says, v1, v3, v5 *kerr.Error }{
		{kerr.TransactionAbortable, kerr.InvalidTxnState, kerr.InvalidTxnState, kerr.TransactionAbortable},
		{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerEpoch, kerr.InvalidProducerEpoch},
		{kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping},
		{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.CoordinatorLoadInProgress},
		{kerr.NetworkException, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.CoordinatorLoadInProgress},
		{kerr.ConcurrentTransactions, kerr.ConcurrentTransactions, kerr.ConcurrentTransactions, kerr.ConcurrentTransactions},
	} {
		w := newTxnWorld(t)
		w.topic("t", 1, nil)
		w.coordinateGroups()
		w.answer = func(kafka.TopicPartition) int16 { return row.says.Code }
		for version, is := range map[int16]*kerr.Error{1: row.v1, 3: row.v3, 5: row.v5} {
			w.want(w.txnCommit(version, "g", 0, 0), is)
		}
	}
	w := newTxnWorld(t)
	w.topic("t", 1, nil)
	w.want(w.txnCommit(5, "g", 0, 0), kerr.NotCoordinator)
	w.coordinateGroups()
	// The marker comes while the coordinator is asked.
	w.answer = func(tp kafka.TopicPartition) int16 {
		w.want(w.mark(1, markerOf(5, 0, 0, false, 0, tp)), nil)
		return 0
	}
	w.want(w.txnCommit(4, "g", 0, 0), kerr.InvalidTxnState)
	if got := w.committed(); got != -1 {
		t.Errorf("offset %d is committed", got)
	}
}
