package markers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/txn"
)

// cluster is three nodes as a Sender on node 1 sees them.
type cluster struct {
	t       *testing.T
	leaders map[string]kafka.NodeID // of partition 0 of each topic
	hidden  map[string]kafka.NodeID // topics that Sync brings
	codes   map[string]int16        // that a topic answers with, once
	broken  map[kafka.NodeID]int    // how many requests to a node break
	syncErr error
	took    time.Duration // of a request

	mu  *sync.Mutex // guards what requests change
	log []string    // requests, as "node: producer topics"
}

func (c *cluster) sender() *Sender {
	c.mu = &sync.Mutex{}
	s := New(Config{
		Self: 1,
		Leader: func(tp kafka.TopicPartition) (kafka.NodeID, bool) {
			l, ok := c.leaders[tp.Topic]
			return l, ok
		},
		Sync: func(context.Context) error {
			for topic, l := range c.hidden {
				c.leaders[topic] = l
			}
			return c.syncErr
		},
		Local: func(_ context.Context, req *kmsg.WriteTxnMarkersRequest) *kmsg.WriteTxnMarkersResponse {
			return c.answer(1, req)
		},
		Dial: func(_ context.Context, to kafka.NodeID) (Conn, error) {
			return &conn{c, to}, nil
		},
		Log: slog.New(slog.DiscardHandler),
	})
	c.t.Cleanup(s.Close)
	return s
}

type conn struct {
	c  *cluster
	to kafka.NodeID
}

func (c *conn) Close() {}

func (c *conn) Request(_ context.Context, req kmsg.Request) (kmsg.Response, error) {
	time.Sleep(c.c.took)
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	if c.c.broken[c.to] > 0 {
		c.c.broken[c.to]--
		return nil, errors.New("broken")
	}
	return c.c.answer(c.to, req.(*kmsg.WriteTxnMarkersRequest)), nil
}

func (c *cluster) answer(node kafka.NodeID, req *kmsg.WriteTxnMarkersRequest) *kmsg.WriteTxnMarkersResponse {
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	said := fmt.Sprintf("%d:", node)
	for _, m := range req.Markers {
		said += fmt.Sprintf(" %d", m.ProducerID)
		a := kmsg.NewWriteTxnMarkersResponseMarker()
		a.ProducerID = m.ProducerID
		for _, t := range m.Topics {
			said += t.Topic
			at := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			at.Topic = t.Topic
			for _, p := range t.Partitions {
				one := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				one.Partition, one.ErrorCode = p, c.codes[t.Topic]
				at.Partitions = append(at.Partitions, one)
			}
			delete(c.codes, t.Topic)
			a.Topics = append(a.Topics, at)
		}
		resp.Markers = append(resp.Markers, a)
	}
	c.log = append(c.log, said)
	return resp
}

func task(producer kafka.ProducerID, topics ...string) txn.WriteMarkers {
	w := txn.WriteMarkers{Marker: txn.Marker{TransactionalID: fmt.Sprint(producer), Producer: producer, Epoch: 3, Commit: true, Version: 2}}
	for _, t := range topics {
		w.Partitions = append(w.Partitions, kafka.TopicPartition{Topic: t})
	}
	return w
}

// play writes the markers of tasks and returns which are done within a minute, and what was asked.
func (c *cluster) play(ctx context.Context, tasks ...txn.WriteMarkers) (done, log string) {
	s := c.sender()
	finished := make(chan string, len(tasks))
	for _, w := range tasks {
		s.Write(ctx, w, func() { finished <- w.TransactionalID })
		synctest.Wait()
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	var all []string
	for len(finished) > 0 {
		all = append(all, <-finished)
	}
	slices.Sort(all)
	s.Close()
	return strings.Join(all, " "), strings.Join(c.log, "; ")
}

func TestMarkersGetToEveryPartition(t *testing.T) {
	type node = map[string]kafka.NodeID
	not := kerr.NotLeaderForPartition.Code
	for name, c := range map[string]struct {
		cluster
		tasks     []txn.WriteMarkers
		done, log string
	}{
		"on all nodes":                                      {cluster{leaders: node{"a": 2, "b": 2}}, []txn.WriteMarkers{task(7, "a", "b")}, "7", "2: 7ab"},
		"on this node":                                      {cluster{leaders: node{"a": 1}}, []txn.WriteMarkers{task(7, "a")}, "7", "1: 7a"},
		"again what was refused":                            {cluster{leaders: node{"a": 2, "b": 2}, codes: map[string]int16{"b": not}}, []txn.WriteMarkers{task(7, "a", "b")}, "7", "2: 7ab; 2: 7b"},
		"after a broken connection":                         {cluster{leaders: node{"a": 2}, broken: map[kafka.NodeID]int{2: 3}}, []txn.WriteMarkers{task(7, "a")}, "7", "2: 7a"},
		"not without a leader":                              {cluster{leaders: node{"a": 2, "b": kafka.NoNode}}, []txn.WriteMarkers{task(7, "a", "b")}, "", "2: 7a"},
		"but for deleted ones":                              {cluster{leaders: node{"a": 2}}, []txn.WriteMarkers{task(7, "a", "gone")}, "7", "2: 7a"},
		"that are only news here":                           {cluster{leaders: node{}, hidden: node{"a": 2}}, []txn.WriteMarkers{task(7, "a")}, "7", "2: 7a"},
		"not as long as it is not sure that one is deleted": {cluster{leaders: node{"a": 2}, syncErr: errors.New("no leader")}, []txn.WriteMarkers{task(7, "a", "gone")}, "", "2: 7a"},
		"of newer coordinators": {cluster{leaders: node{"a": 2, "b": 2}, codes: map[string]int16{"a": kerr.TransactionCoordinatorFenced.Code, "b": not}},
			[]txn.WriteMarkers{task(7, "a", "b")}, "", "2: 7ab"},
		"where the transaction is over": {cluster{leaders: node{"a": 2}, codes: map[string]int16{"a": kerr.InvalidProducerEpoch.Code}}, []txn.WriteMarkers{task(7, "a")}, "7", "2: 7a"},
		"in one request what waits": {cluster{leaders: node{"a": 2}, took: time.Second}, []txn.WriteMarkers{task(7, "a"), task(8, "a"), task(9, "a")},
			"7 8 9", "2: 7a; 2: 8a 9a"},
		"each producer once in a request": {cluster{leaders: node{"a": 2, "b": 2, "c": 2}, took: time.Second},
			[]txn.WriteMarkers{task(7, "a"), task(8, "b"), task(8, "c")}, "7 8 8", "2: 7a; 2: 8b; 2: 8c"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.t = t
				if done, log := c.play(t.Context(), c.tasks...); done != c.done || log != c.log {
					t.Errorf("done %q by %q, want %q by %q", done, log, c.done, c.log)
				}
			})
		})
	}
}

func TestNothingIsAskedForACoordinatorThatHasResigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster{t: t, leaders: map[string]kafka.NodeID{"a": 2}, took: time.Second}
		s := c.sender()
		ctx, resign := context.WithCancel(t.Context())
		s.Write(t.Context(), task(7, "a"), func() {})
		synctest.Wait()
		s.Write(ctx, task(8, "a"), func() { t.Error("done") })
		synctest.Wait() // 8 waits for the answer to 7
		resign()
		time.Sleep(time.Minute)
		s.Close()
		if log := strings.Join(c.log, "; "); log != "2: 7a" {
			t.Error(log)
		}
	})
}
