package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fate is what the producer of a transaction knows of it.
type fate int

const (
	unsure fate = iota // its client died, or was not told
	committed
	aborted
)

// txnLoad are producers that write one transaction after the other: each has two records in every partition of a topic, and every third
// is aborted.
type txnLoad struct {
	w          *world
	topic      string
	partitions int32
	opts       []kgo.Opt
	cancel     context.CancelFunc
	done       sync.WaitGroup

	mu        sync.Mutex
	fates     map[string]fate // of each transaction, by producer and number
	committed int             // of them
}

const recordsEach = 2 // of a transaction in each partition

// transactions starts so many producers, each with a transactional id of its own.
func (w *world) transactions(topic string, partitions int32, producers int, opts ...kgo.Opt) *txnLoad {
	ctx, cancel := context.WithCancel(w.t.Context())
	l := &txnLoad{w: w, topic: topic, partitions: partitions, opts: opts, cancel: cancel, fates: map[string]fate{}}
	for i := range producers {
		l.done.Go(func() { l.produce(ctx, fmt.Sprintf("p%d", i)) })
	}
	return l
}

// produce is one producer. After an error that it cannot abort, and now and then for no reason, its process dies and another begins with the
// same transactional id.
func (l *txnLoad) produce(ctx context.Context, id string) {
	var cl *kgo.Client
	for n := 0; ctx.Err() == nil; n++ {
		if cl == nil {
			cl = l.w.client(append([]kgo.Opt{
				kgo.TransactionalID(id), kgo.TransactionTimeout(10 * time.Second), kgo.DefaultProduceTopic(l.topic),
				kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProduceRequestTimeout(500 * time.Millisecond),
				kgo.RequestTimeoutOverhead(time.Second), kgo.RecordDeliveryTimeout(30 * time.Second),
			}, l.opts...)...)
		}
		name := fmt.Sprint(id, "/", n)
		is, alive := l.transaction(ctx, cl, name, n)
		if l.note(name, is); !alive || n%50 == 49 {
			cl.Close()
			cl = nil
			time.Sleep(10 * time.Millisecond) // which a start takes
		}
	}
	if cl != nil {
		cl.Close()
	}
}

func (l *txnLoad) note(name string, is fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fates[name] = is; is == committed {
		l.committed++
	}
}

// transaction writes one. alive is false when the client is of no more use; some clients die in the middle of one.
func (l *txnLoad) transaction(ctx context.Context, cl *kgo.Client, name string, n int) (is fate, alive bool) {
	if err := cl.BeginTransaction(); err != nil {
		return aborted, false // nothing of it was sent
	}
	failed := kgo.AbortingFirstErrPromise(cl)
	for k := range recordsEach {
		for p := range l.partitions {
			cl.Produce(ctx, &kgo.Record{Partition: p, Value: fmt.Appendf(nil, "%s/%d", name, k)}, failed.Promise())
		}
		if k == 0 && n%5 == 0 {
			_ = cl.Flush(ctx) // what comes of it the next one tells
		}
	}
	if n%37 == 36 {
		_ = cl.Flush(ctx)
		return unsure, false
	}
	if err := cl.Flush(ctx); err != nil {
		return unsure, false
	}
	try := n%3 != 2 && failed.Err() == nil
	switch err := cl.EndTransaction(ctx, kgo.TransactionEndTry(try)); {
	case err == nil && try:
		return committed, true
	case err == nil:
		return aborted, true
	case ctx.Err() != nil || !try:
		return unsure, false
	}
	// The outcome of the commit may be unknown; that of an abort after one that was not tried is not.
	if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return unsure, false
	}
	return unsure, true
}

// goesOn waits until so many more transactions are committed, and tells how long that took.
func (l *txnLoad) goesOn(more int) time.Duration {
	l.w.t.Helper()
	done := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.committed
	}
	was, began := done(), time.Now()
	for time.Since(began) < 2*time.Minute {
		if done() >= was+more {
			return time.Since(began)
		}
		time.Sleep(time.Millisecond)
	}
	l.w.t.Fatalf("%d transactions were committed in two minutes", done()-was)
	return 0
}

// check ends the load and reads what is committed: of a transaction all or nothing, once, in order; all of what its producer was told is
// committed, nothing of what it aborted. Nothing hangs.
func (l *txnLoad) check() {
	t := l.w.t
	t.Helper()
	l.cancel()
	l.done.Wait()
	l.w.settled(l.topic, l.partitions)
	seen := map[string]int{}
	for p, values := range l.w.readCommitted(l.topic, l.partitions) {
		last := map[string]int{}
		for _, v := range values {
			producer, rest, _ := strings.Cut(v, "/")
			number, k, _ := strings.Cut(rest, "/")
			n, _ := strconv.Atoi(number)
			which, _ := strconv.Atoi(k)
			if at := n*recordsEach + which; at <= last[producer]-1 {
				t.Errorf("partition %d: %s comes after number %d of its producer", p, v, last[producer]-1)
			} else {
				last[producer] = at + 1
			}
			seen[producer+"/"+number]++
		}
	}
	whole, of := int(l.partitions)*recordsEach, map[fate]int{}
	for name, n := range seen {
		if n != whole {
			t.Errorf("of transaction %s %d of %d records are read", name, n, whole)
		}
		if l.fates[name] == aborted {
			t.Errorf("transaction %s was aborted, and is read", name)
		}
	}
	for name, is := range l.fates {
		if of[is]++; is == committed && seen[name] == 0 {
			t.Errorf("transaction %s was committed, and is not read", name)
		}
	}
	t.Logf("%d transactions committed, %d aborted, of %d the producer does not know", of[committed], of[aborted], of[unsure])
	if of[committed] < 10 || of[aborted] < 5 {
		t.Error("too few transactions to tell")
	}
}

// settled waits until no transaction is open: those of clients that died are ended when their time is over.
func (w *world) settled(topic string, partitions int32) {
	w.t.Helper()
	began := time.Now()
	for {
		open, err := w.open(topic, partitions)
		if err == nil && open == 0 {
			return
		}
		if time.Since(began) > 2*time.Minute {
			w.t.Fatalf("%d partitions of %s have transactions that hang (%v)", open, topic, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// open counts the partitions whose last stable offset is not at the end.
func (w *world) open(topic string, partitions int32) (n int, err error) {
	cl := w.client()
	defer cl.Close()
	admin := kadm.NewClient(cl)
	stable, err := admin.ListCommittedOffsets(w.t.Context(), topic)
	if err != nil {
		return 0, err
	}
	ends, err := admin.ListEndOffsets(w.t.Context(), topic)
	if err != nil {
		return 0, err
	}
	for p := range partitions {
		at, _ := stable.Lookup(topic, p)
		end, _ := ends.Lookup(topic, p)
		if err := errors.Join(at.Err, end.Err); err != nil {
			return 0, err
		}
		if at.Offset < end.Offset {
			n++
		}
	}
	return n, nil
}

// ends are the last stable offsets.
func (w *world) ends(topic string, partitions int32) (ends []int64, err error) {
	cl := w.client()
	defer cl.Close()
	stable, err := kadm.NewClient(cl).ListCommittedOffsets(w.t.Context(), topic)
	if err != nil {
		return nil, err
	}
	for p := range partitions {
		at, _ := stable.Lookup(topic, p)
		ends, err = append(ends, at.Offset), errors.Join(err, at.Err)
	}
	return ends, err
}

// readCommitted reads each partition up to the end that it has now.
func (w *world) readCommitted(topic string, partitions int32) (values [][]string) {
	w.t.Helper()
	ends, err := w.ends(topic, partitions)
	if err != nil {
		w.t.Fatal(err)
	}
	values = make([][]string, partitions)
	for p := range partitions {
		if ends[p] == 0 {
			continue
		}
		cl := w.client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().AtStart()}}))
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		for next := int64(0); next < ends[p]; {
			fetches := cl.PollFetches(ctx)
			if err := fetches.Err(); errors.Is(err, context.DeadlineExceeded) {
				w.t.Errorf("partition %d of %s is read up to %d of %d", p, topic, next, ends[p])
				break
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if next = r.Offset + 1; !r.Attrs.IsControl() {
					values[p] = append(values[p], string(r.Value))
				}
			})
		}
		cancel()
		cl.Close()
	}
	return values
}
