package api

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// slowController answers after a while: with an error, or with blocks of ids.
type slowController struct {
	mu    sync.Mutex
	fails bool
	next  int64
	asked int
}

func (c *slowController) Submit(ctx context.Context, req any) (any, error) {
	time.Sleep(5 * time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.fails {
		return nil, kerr.NotController
	}
	resp := req.(*kmsg.AllocateProducerIDsRequest).ResponseKind().(*kmsg.AllocateProducerIDsResponse)
	resp.ProducerIDStart, resp.ProducerIDLen = c.next, 10
	c.next += 10
	return resp, nil
}

// Producers that come while no controller answers are told so together, and not one after the other.
func TestProducersWaitForAControllerTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p producerIDs
		c := &slowController{fails: true}
		began := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := p.next(t.Context(), c, kmsg.NewPtrAllocateProducerIDsRequest()); !errors.Is(err, kerr.CoordinatorLoadInProgress) {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		if d := time.Since(began); d > 6*time.Second || c.asked > 2 {
			t.Errorf("%s and %d questions", d, c.asked)
		}
	})
}

func TestEveryProducerGetsAnIDOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p producerIDs
		c := &slowController{}
		var mu sync.Mutex
		seen := map[kafka.ProducerID]bool{}
		var all sync.WaitGroup
		for range 25 {
			all.Go(func() {
				id, err := p.next(t.Context(), c, kmsg.NewPtrAllocateProducerIDsRequest())
				mu.Lock()
				defer mu.Unlock()
				if err != nil || seen[id] {
					t.Errorf("id %d, %v; given before: %v", id, err, seen[id])
				}
				seen[id] = true
			})
		}
		all.Wait()
		if c.asked != 3 {
			t.Errorf("%d blocks for 25 producers", c.asked)
		}
	})
}
