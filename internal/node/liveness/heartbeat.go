package liveness

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stopPause lies between two heartbeats of a node that stops: each answer tells whether it leads nothing any more.
const stopPause = 20 * time.Millisecond

// stopPatience is how long a node that stops waits for a controller that answers. Where most nodes stop together there is none
// any more, and nobody to lead in their place.
const stopPatience = 2 * time.Second

// Without a majority in reach for so long, looked for so often, there is no controller to wait for: the others have stopped, or are
// gone.
const (
	aloneTime  = 300 * time.Millisecond
	alonePause = 50 * time.Millisecond
)

// heartbeats is the goroutine that tells the active controller of this node.
func (w *Watch) heartbeats() {
	for {
		pause, sends := w.pace()
		var due <-chan time.Time
		if sends {
			due = time.After(pause)
		}
		select {
		case <-due:
		case <-w.beat:
		case <-w.ctx.Done():
			return
		}
		if _, sends := w.pace(); sends {
			w.heartbeat()
		}
	}
}

// pace is the time until the next heartbeat. A node alone sends none: it is its own controller, and knows. One that was told
// to come back into the cluster (fenced) sends until it is, and one with a failed log dir until that is known.
func (w *Watch) pace() (pause time.Duration, sends bool) {
	offline := len(w.cfg.OfflineDirs())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return stopPause, w.several
	}
	return w.cfg.Heartbeat, w.several || w.fenced || offline > w.dirsTold
}

func (w *Watch) heartbeat() {
	img := w.cfg.Image()
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.Version = req.MaxVersion()
	req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset = int32(w.cfg.Self), -1, int64(img.Offset())
	if n, ok := img.Node(w.cfg.Self); ok {
		req.BrokerEpoch = n.Epoch
	}
	w.mu.Lock()
	stopping := w.stopping
	w.mu.Unlock()
	req.WantShutdown, req.OfflineLogDirs = stopping, w.cfg.OfflineDirs()
	ctx, cancel := context.WithTimeout(w.ctx, w.cfg.Session)
	defer cancel()
	sent := time.Now()
	reply, err := w.cfg.Submit(ctx, req)
	if err != nil {
		if w.ctx.Err() == nil {
			w.cfg.Log.Debug("no heartbeat", "err", err) // the quorum tells who is missing
		}
		return
	}
	answer, ok := reply.(*kmsg.BrokerHeartbeatResponse)
	if !ok {
		w.cfg.Log.Error("the controller answered a heartbeat with something else")
		return
	}
	switch err := kerr.ErrorForCode(answer.ErrorCode); {
	case err == nil && !answer.IsFenced:
		w.assure(sent)
	case err == nil:
	case errors.Is(err, kerr.StaleBrokerEpoch), errors.Is(err, kerr.BrokerIDNotRegistered):
		if stopping {
			w.emptied() // whatever it led is led by others
			return
		}
		err := w.cfg.Register(ctx)
		if err == nil {
			wake(w.beat) // it is fenced before the next
		} else if w.ctx.Err() == nil {
			w.cfg.Log.Warn("the node's registration is gone, and cannot be made anew yet", "err", err)
		}
		return
	default:
		w.cfg.Log.Warn("the controller refused a heartbeat", "err", err)
		return
	}
	w.mu.Lock()
	w.dirsTold = len(req.OfflineLogDirs)
	w.mu.Unlock()
	if stopping {
		wake(w.taken)
	}
	if stopping && answer.ShouldShutdown {
		w.emptied()
	}
}

// emptied tells Shutdown that this node leads nothing. The goroutine of heartbeats alone calls it.
func (w *Watch) emptied() {
	select {
	case <-w.empty:
	default:
		close(w.empty)
	}
}

// ErrNoController is the answer of Shutdown when no controller answers.
var ErrNoController = errors.New("no controller answers")

// Shutdown tells the controller that this node stops, and returns when others lead its partitions, or ctx ends.
func (w *Watch) Shutdown(ctx context.Context) error {
	w.mu.Lock()
	several := w.several
	w.stopping = true
	w.mu.Unlock()
	if !several {
		return nil
	}
	wake(w.beat)
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	looks := time.NewTicker(alonePause)
	defer looks.Stop()
	alone := time.Duration(0)
	for {
		select {
		case <-w.empty:
			return nil
		case <-w.taken:
			patience.Reset(stopPatience)
		case <-patience.C:
			return ErrNoController
		case <-looks.C:
			if alone += alonePause; w.cfg.Majority() {
				alone = 0
			}
			if alone >= aloneTime {
				return ErrNoController
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-w.ctx.Done():
			return nil
		}
	}
}
