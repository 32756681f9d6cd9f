package api

import (
	"context"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/coord"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// in appends a batch of a transaction, as if the coordinator had let it in.
func (w *world) in(tp kafka.TopicPartition, id kafka.ProducerID, epoch kafka.ProducerEpoch, sequence int32) (kafka.Offset, error) {
	w.t.Helper()
	part, err := w.set.Get(tp)
	if err != nil {
		w.t.Fatal(err)
	}
	b := batch.NewBuilder(batch.BuilderConfig{ProducerID: id, Epoch: epoch, BaseSequence: sequence, Transactional: true})
	b.Append(time.Now().UnixMilli(), []byte("k"), []byte("v"), nil)
	a, _, err := part.Append(time.Now(), b.Finish(), partition.AllReplicas, commitlog.OriginClient, 0)
	return a.First, err
}

func (w *world) mustIn(tp kafka.TopicPartition, id kafka.ProducerID, epoch kafka.ProducerEpoch, sequence int32) kafka.Offset {
	w.t.Helper()
	off, err := w.in(tp, id, epoch, sequence)
	if err != nil {
		w.t.Fatal(err)
	}
	return off
}

func markerOf(id int64, epoch int16, coordinator int32, commit bool, version int8, tps ...kafka.TopicPartition) kmsg.WriteTxnMarkersRequestMarker {
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch, m.Committed, m.TransactionVersion = id, epoch, coordinator, commit, version
	for _, tp := range tps {
		i := slices.IndexFunc(m.Topics, func(t kmsg.WriteTxnMarkersRequestMarkerTopic) bool { return t.Topic == tp.Topic })
		if i < 0 {
			t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			t.Topic = tp.Topic
			m.Topics, i = append(m.Topics, t), len(m.Topics)
		}
		m.Topics[i].Partitions = append(m.Topics[i].Partitions, tp.Partition)
	}
	return m
}

// mark sends markers, and gives the codes in the order of the answer.
func (w *world) mark(version int16, ms ...kmsg.WriteTxnMarkersRequestMarker) (codes []int16) {
	w.t.Helper()
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Markers = ms
	return codesOfMarkers(ask[*kmsg.WriteTxnMarkersResponse](w, req, version))
}

func codesOfMarkers(resp *kmsg.WriteTxnMarkersResponse) (codes []int16) {
	for _, m := range resp.Markers {
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	}
	return codes
}

func at(topic string, p int32) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: topic, Partition: p}
}

func (w *world) lso(tp kafka.TopicPartition) kafka.Offset {
	w.t.Helper()
	part, err := w.set.Get(tp)
	if err != nil {
		w.t.Fatal(err)
	}
	_, _, lso, _, err := part.Offsets()
	if err != nil {
		w.t.Fatal(err)
	}
	return lso
}

func TestMarkersEndTransactionsInEveryPartitionTheyName(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 3, nil)
	w.topic("u", 1, nil)
	tps := []kafka.TopicPartition{at("t", 0), at("t", 2), at("u", 0)}
	for version := int16(1); version <= 2; version++ {
		id, commit := kafka.ProducerID(version), version == 2
		for _, tp := range tps {
			first := w.mustIn(tp, id, 0, 0)
			if lso := w.lso(tp); lso != first {
				t.Fatalf("%v: last stable offset %d with a transaction that began at %d", tp, lso, first)
			}
		}
		if codes := w.mark(version, markerOf(int64(id), 1, 4, commit, 2, tps...)); !slices.Equal(codes, []int16{0, 0, 0}) {
			t.Fatalf("version %d: codes %v", version, codes)
		}
		for _, tp := range tps {
			if lso, want := w.lso(tp), kafka.Offset(2*version); lso != want {
				t.Errorf("version %d, %v: last stable offset %d, want %d: the marker is not safe", version, tp, lso, want)
			}
			part, _ := w.set.Get(tp)
			f, err := part.Fetch(partition.Position{Offset: 0, Epoch: kafka.NoLeaderEpoch, LastEpoch: kafka.NoLeaderEpoch, MaxBytes: 1 << 20, Committed: true})
			if err != nil || len(f.Aborted) != 1 || f.Aborted[0].ProducerID != 1 { // the first version's was aborted
				t.Errorf("version %d, %v: aborted %v, %v", version, tp, f.Aborted, err)
			}
			f.Plan.Release()
		}
	}
}

func TestMarkersThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 2, nil)
	w.topic("__transaction_state", 1, nil)
	tp := at("t", 0)
	w.mustIn(tp, 7, 3, 0)
	for name, c := range map[string]struct {
		m    kmsg.WriteTxnMarkersRequestMarker
		want *kerr.Error
	}{
		"unknown topic":      {markerOf(7, 4, 0, true, 2, at("nowhere", 0)), kerr.UnknownTopicOrPartition},
		"unknown partition":  {markerOf(7, 4, 0, true, 2, at("t", 9)), kerr.UnknownTopicOrPartition},
		"negative partition": {markerOf(7, 4, 0, true, 2, at("t", -1)), kerr.UnknownTopicOrPartition},
		"old epoch":          {markerOf(7, 2, 0, true, 0, tp), kerr.InvalidProducerEpoch},
		"epoch not raised":   {markerOf(7, 3, 0, true, 2, tp), kerr.InvalidProducerEpoch},
		"no producer":        {markerOf(-1, 3, 0, true, 0, tp), kerr.InvalidRequest},
		"no version":         {markerOf(7, 4, 0, true, -1, tp), kerr.InvalidRequest},
		"no epoch":           {markerOf(7, -1, 0, true, 0, tp), kerr.InvalidRequest},
		"internal topic":     {markerOf(7, 4, 0, true, 2, at("__transaction_state", 0)), kerr.InvalidTopicException},
	} {
		if codes := w.mark(2, c.m); !slices.Equal(codes, []int16{c.want.Code}) {
			t.Errorf("%s: codes %v, want %v", name, codes, c.want)
		}
	}
	if codes := w.mark(2, markerOf(7, 4, 8, true, 2, tp)); !slices.Equal(codes, []int16{0}) {
		t.Errorf("codes %v", codes)
	}
	if codes := w.mark(2, markerOf(7, 5, 7, true, 2, tp), markerOf(7, 5, 8, true, 2, at("t", 9), tp)); !slices.Equal(codes, []int16{
		kerr.TransactionCoordinatorFenced.Code, kerr.UnknownTopicOrPartition.Code, 0}) {
		t.Errorf("codes %v: what one partition refuses must not keep the marker from another", codes)
	}
	if resp := ask[*kmsg.WriteTxnMarkersResponse](w, kmsg.NewPtrWriteTxnMarkersRequest(), 1); len(resp.Markers) != 0 {
		t.Errorf("no markers are answered with %v", resp.Markers)
	}
}

func TestAMarkerIsAppendedOnceToAPartitionThatIsNamedTwice(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	tp := at("t", 0)
	m := markerOf(7, 1, 0, true, 0, tp, tp, tp)
	m.Topics = append(m.Topics, m.Topics[0])
	if codes := w.mark(1, m); !slices.Equal(codes, []int16{0}) {
		t.Errorf("codes %v", codes)
	}
	if lso := w.lso(tp); lso != 1 {
		t.Errorf("%d markers were appended", lso)
	}
}

// An operator aborts a transaction that hangs with the epoch of its records: kafka-transactions.sh abort.
func TestAHangingTransactionIsAborted(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	tp := at("t", 0)
	w.mustIn(tp, 7, 3, 0)
	if codes := w.mark(2, markerOf(7, 3, 0, false, 0, tp)); !slices.Equal(codes, []int16{0}) {
		t.Errorf("codes %v", codes)
	}
	if lso := w.lso(tp); lso != 2 {
		t.Errorf("last stable offset %d", lso)
	}
}

// A coordinator that hears no answer sends a marker again, perhaps when the next transaction has begun long since.
func TestALateMarkerDoesNotEndTheNextTransaction(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	tp := at("t", 0)
	w.mustIn(tp, 7, 0, 0)
	marker := markerOf(7, 1, 0, true, 2, tp)
	for range 2 {
		if codes := w.mark(2, marker); !slices.Equal(codes, []int16{0}) {
			t.Fatalf("codes %v", codes)
		}
	}
	second := w.mustIn(tp, 7, 1, 0)
	for range 2 {
		if codes := w.mark(2, marker); !slices.Equal(codes, []int16{kerr.InvalidProducerEpoch.Code}) {
			t.Errorf("codes %v", codes)
		}
		if lso := w.lso(tp); lso != second {
			t.Fatalf("last stable offset %d, but the transaction from %d on is open", lso, second)
		}
	}
}

func TestProducersAreDescribedWithTheirTransactions(t *testing.T) {
	w := newWorld(t)
	w.topic("t", 1, nil)
	tp := at("t", 0)
	before := time.Now().UnixMilli()
	producers := func() (all []kmsg.DescribeProducersResponseTopicPartitionActiveProducer) {
		t.Helper()
		req := kmsg.NewPtrDescribeProducersRequest()
		rt := kmsg.NewDescribeProducersRequestTopic()
		rt.Topic, rt.Partitions = "t", []int32{0}
		req.Topics = append(req.Topics, rt)
		p := ask[*kmsg.DescribeProducersResponse](w, req, 0).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			t.Fatalf("code %d", p.ErrorCode)
		}
		for _, one := range p.ActiveProducers {
			if one.LastTimestamp < before || one.LastTimestamp > time.Now().UnixMilli() {
				t.Errorf("last timestamp %d, after %d", one.LastTimestamp, before)
			}
			one.LastTimestamp = 0
			all = append(all, one)
		}
		return all
	}
	want := func(id int64, epoch, sequence, coordinator int32, start int64) kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
		p := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		p.ProducerID, p.ProducerEpoch, p.LastSequence, p.CoordinatorEpoch, p.CurrentTxnStartOffset, p.LastTimestamp = id, epoch, sequence, coordinator, start, 0
		return p
	}
	equal := func(where string, want ...kmsg.DescribeProducersResponseTopicPartitionActiveProducer) {
		t.Helper()
		if got := producers(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", where, got, want)
		}
	}
	w.produce("t", 0, "plain")
	w.mustIn(tp, 7, 0, 0)
	w.mustIn(tp, 7, 0, 1)
	w.mustIn(tp, 8, 4, 0)
	equal("two open", want(7, 0, 1, -1, 1), want(8, 4, 0, -1, 3))
	w.mark(2, markerOf(7, 1, 6, true, 2, tp)) // raises the epoch
	w.mark(2, markerOf(8, 4, 6, false, 1, tp))
	equal("none open", want(7, 1, -1, 6, -1), want(8, 4, 0, 6, -1))
	w.mustIn(tp, 8, 4, 1)
	equal("the next is open", want(7, 1, -1, 6, -1), want(8, 4, 1, 6, 6))
}

// marks is a group coordinator that appends no marker itself.
type marks struct {
	Groups
	runtime *coord.Runtime
	asked   []coord.Marker
}

func (m *marks) MarkTransaction(p int32, marker coord.Marker) coord.Marked {
	m.asked = append(m.asked, marker)
	return m.runtime.MarkTransaction(p, marker)
}

func TestMarkersOfOffsetsGoThroughTheGroupCoordinator(t *testing.T) {
	w := newWorld(t)
	w.topic(kafka.OffsetsTopic, 1, nil)
	w.topic("t", 1, nil)
	m := &marks{runtime: coord.New(coord.Config{Topic: kafka.OffsetsTopic, Partitions: 1})}
	w.srv.Groups = m
	codes := w.mark(2, markerOf(7, 1, 4, true, 2, at("t", 0), at(kafka.OffsetsTopic, 0)))
	if !slices.Equal(codes, []int16{0, kerr.NotLeaderForPartition.Code}) { // NOT_COORDINATOR, as transaction coordinators know it
		t.Errorf("codes %v", codes)
	}
	want := coord.Marker{CoordinatorEpoch: 4, TransactionVersion: 2, Commit: true}
	want.Producer.ID, want.Producer.Epoch = 7, 1
	if !slices.Equal(m.asked, []coord.Marker{want}) {
		t.Errorf("the group coordinator was asked for %+v", m.asked)
	}
	for _, err := range []error{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable} {
		if code := w.srv.markerCode(err, at(kafka.OffsetsTopic, 0)); code != kerr.NotLeaderForPartition.Code {
			t.Errorf("%v becomes code %d", err, code)
		}
	}
}

// A marker that is not safe in time may be in the log: the coordinator sends it again.
func TestMarkersAreAnsweredWhenTheyAreSafe(t *testing.T) {
	var gate atomic.Pointer[chan struct{}]
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if open := gate.Load(); open != nil && (op.Kind == vfs.OpSync || op.Kind == vfs.OpSyncFS) {
			<-*open
		}
		return nil
	})
	w := newWorldOn(t, fs, "/data", 9092)
	w.topic("t", 2, nil)
	tps := []kafka.TopicPartition{at("t", 0), at("t", 1)}
	for _, tp := range tps {
		w.mustIn(tp, 7, 0, 0)
	}
	w.produce("t", 0, "plain") // and so all is safe
	w.produce("t", 1, "plain")
	open := make(chan struct{})
	gate.Store(&open)
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Markers = append(req.Markers, markerOf(7, 1, 0, true, 2, tps...))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	late := kerr.RequestTimedOut.Code
	if codes := codesOfMarkers(w.srv.WriteTxnMarkers(ctx, req)); !slices.Equal(codes, []int16{late, late}) {
		t.Errorf("before the flush: codes %v", codes)
	}
	for _, tp := range tps {
		if lso := w.lso(tp); lso != 0 {
			t.Errorf("%v: last stable offset %d before the flush", tp, lso)
		}
	}
	gate.Store(nil)
	close(open)
	if codes := w.mark(2, req.Markers...); !slices.Equal(codes, []int16{0, 0}) {
		t.Errorf("sent again: codes %v", codes)
	}
	for _, tp := range tps {
		if lso := w.lso(tp); lso != 4 { // the record, the plain one, and the marker twice
			t.Errorf("%v: last stable offset %d", tp, lso)
		}
	}
}
