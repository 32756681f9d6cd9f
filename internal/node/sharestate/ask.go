package sharestate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/core/share/state"
)

// Times of asking. A coordinator that moves, or loads, is asked again, less and less often.
const (
	patience     = 10 * time.Second // with all coordinators that a request is for
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = time.Second
)

// Ask has the coordinators of the cluster answer a request, each for its partitions. What the protocol calls an error is in
// the answer.
func (s *Coordinator) Ask(ctx context.Context, req kmsg.Request) kmsg.Response {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all := req.ResponseKind()
	all.SetVersion(req.GetVersion())
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		resp := s.askOnce(ctx, req)
		last := !sleeps(ctx, wait, func() bool { return !anyAgain(resp) })
		again := make(map[partition]bool)
		merge(all, resp, func(id kafka.TopicID, p int32, code int16) bool {
			if !last && comesBack(code) {
				again[partition{id, p}] = true
				return false
			}
			return true
		})
		if len(again) == 0 {
			return all
		}
		req = only(req, func(k state.Key) bool { return again[partition{k.Topic, k.Partition}] })
	}
}

type partition struct {
	topic kafka.TopicID
	index int32
}

// sleeps waits before another attempt, unless there is to be none, and tells whether there is.
func sleeps(ctx context.Context, d time.Duration, done func() bool) bool {
	if done() || ctx.Err() != nil {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func anyAgain(resp kmsg.Response) bool {
	any := false
	merge(resp.RequestKind().ResponseKind(), resp, func(_ kafka.TopicID, _ int32, code int16) bool {
		any = any || comesBack(code)
		return false
	})
	return any
}

// comesBack tells that a coordinator may answer if it is asked again, or looked for elsewhere.
func comesBack(code int16) bool {
	switch code {
	case kerr.NotCoordinator.Code, kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code:
		return true
	}
	return false
}

// askOnce asks each coordinator once.
func (s *Coordinator) askOnce(ctx context.Context, req kmsg.Request) kmsg.Response {
	topic, err := s.topic(ctx)
	if err != nil {
		return state.Refuse(req, req.GetVersion(), fmt.Errorf("%w: %w", err, kerr.CoordinatorNotAvailable))
	}
	leader := func(k state.Key) kafka.NodeID {
		return topic.Partitions[kafka.CoordinatorPartition(k.String(), int32(len(topic.Partitions)))].Leader
	}
	nodes := make(map[kafka.NodeID]bool)
	for _, k := range keysOf(req) {
		nodes[leader(k)] = true
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	for node := range nodes {
		one := only(req, func(k state.Key) bool { return leader(k) == node })
		wg.Go(func() {
			answer := s.askNode(ctx, node, one)
			mu.Lock()
			defer mu.Unlock()
			merge(resp, answer, func(kafka.TopicID, int32, int16) bool { return true })
		})
	}
	wg.Wait()
	return resp
}

func (s *Coordinator) askNode(ctx context.Context, node kafka.NodeID, req kmsg.Request) kmsg.Response {
	var (
		resp kmsg.Response
		err  error
	)
	switch node {
	case kafka.NoNode:
		err = fmt.Errorf("its partition of %s has no leader", kafka.ShareTopic)
	case s.cfg.Node:
		resp, err = s.Answer(ctx, req)
	default:
		resp, err = s.cfg.Request(ctx, node, req)
	}
	if err != nil {
		return state.Refuse(req, req.GetVersion(), fmt.Errorf("share coordinator on node %d: %w: %w", node, err, kerr.CoordinatorNotAvailable))
	}
	return resp
}

// topic is __share_group_state, which is made when it is first asked for.
func (s *Coordinator) topic(ctx context.Context) (*metadata.Topic, error) {
	if topic, ok := s.cfg.Image().Topic(kafka.ShareTopic); ok {
		return topic, nil
	}
	if err := s.cfg.CreateTopic(ctx); err != nil {
		return nil, fmt.Errorf("create %s: %w", kafka.ShareTopic, err)
	}
	topic, ok := s.cfg.Image().Topic(kafka.ShareTopic)
	if !ok {
		return nil, fmt.Errorf("%s is not there yet", kafka.ShareTopic)
	}
	return topic, nil
}
