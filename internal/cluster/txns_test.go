package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// txnWorld is a cluster of n nodes with transactions.
func txnWorld(t *testing.T, n int) *world {
	t.Helper()
	w := noWorld(t, "/data")
	w.unstable = true
	for range n {
		w.start(w.add(both))
	}
	w.voters(n)
	return w
}

// txnCoordinator is the node that coordinates a transactional id.
func (w *world) txnCoordinator(id string) int {
	w.t.Helper()
	found := kadm.NewClient(w.client()).FindTxnCoordinators(w.t.Context(), id)
	if err := found.Error(); err != nil {
		w.t.Fatal(err)
	}
	return int(found[id].NodeID)
}

// stable reads what read_committed readers get of a topic until there are n records, by value, and how often each came.
func stable(w *world, topic string, n int) map[string]int {
	w.t.Helper()
	cl := w.client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	got, count := map[string]int{}, 0
	for count < n && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			got[string(r.Value)]++
			count++
		})
	}
	return got
}

func TestOnlyCommittedTransactionsAreReadWithReadCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := txnWorld(t, 3)
		w.topic("t", 6)
		cl := w.client(kgo.TransactionalID("x"), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		var want []string
		for i := range 20 {
			if err := cl.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			for j := range 10 {
				v := fmt.Sprintf("%d.%d", i, j)
				cl.Produce(t.Context(), &kgo.Record{Topic: "t", Value: []byte(v)}, nil)
				if i%3 != 0 {
					want = append(want, v)
				}
			}
			if err := cl.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := cl.EndTransaction(t.Context(), kgo.TransactionEndTry(i%3 != 0)); err != nil {
				t.Fatalf("end transaction %d: %v", i, err)
			}
			if i == 10 {
				w.kill(w.txnCoordinator("x"), true)
			}
		}
		got := stable(w, "t", len(want))
		slices.Sort(want)
		if all := slices.Sorted(maps.Keys(got)); !slices.Equal(all, want) {
			t.Errorf("read %d values: %v, want %d", len(all), all, len(want))
		}
		for v, n := range got {
			if n != 1 {
				t.Errorf("%s is read %d times", v, n)
			}
		}
	})
}

// copies copies a topic in transactions until n records were, the session being made anew after each error.
func copies(ctx context.Context, w *world, from, to string, n int) {
	copied := 0
	for copied < n && ctx.Err() == nil {
		sess, err := kgo.NewGroupTransactSession(w.options(
			kgo.TransactionalID("copier"), kgo.TransactionTimeout(10*time.Second), kgo.ConsumerGroup("copiers"), kgo.ConsumeTopics(from),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
		if err != nil {
			w.t.Fatal(err)
		}
		for copied < n && ctx.Err() == nil {
			soon, cancel := context.WithTimeout(ctx, 20*time.Second)
			fetches := sess.PollRecords(soon, 7)
			cancel()
			if fetches.NumRecords() == 0 {
				break
			}
			if sess.Begin() != nil {
				break
			}
			fetches.EachRecord(func(r *kgo.Record) { sess.Produce(ctx, &kgo.Record{Topic: to, Value: r.Value}, nil) })
			committed, err := sess.End(ctx, kgo.TryCommit)
			if err != nil {
				break
			}
			if committed {
				copied += fetches.NumRecords()
			}
		}
		sess.Close()
	}
}

func TestACopyHasEachRecordOnceWhileNodesDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := txnWorld(t, 3)
		w.topic("from", 4)
		w.topic("to", 4)
		cl := w.client(kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		const n = 400
		for i := range n {
			cl.Produce(t.Context(), &kgo.Record{Topic: "from", Value: fmt.Append(nil, i)}, nil)
		}
		if err := cl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Minute)
		done := make(chan struct{})
		go func() {
			defer close(done)
			copies(ctx, w, "from", "to", n)
		}()
		for i := range 4 {
			select {
			case <-time.After(3 * time.Second):
			case <-done:
			}
			w.kill(i%3+1, true)
			w.start(i%3 + 1)
		}
		<-done
		stop()
		got := stable(w, "to", n)
		if len(got) != n {
			t.Errorf("%d of %d records were copied", len(got), n)
		}
		for v, times := range got {
			if times != 1 {
				t.Errorf("%s was copied %d times", v, times)
			}
		}
	})
}
