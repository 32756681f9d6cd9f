package shares

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share"
	"github.com/headrace/headrace/internal/node/partition"
)

// keepAgain is how long a write to the share coordinator that failed is left alone.
const keepAgain = time.Second

// load asks the share coordinator for what it keeps, and makes the machine of it.
func (l *leader) load() {
	m, err := l.loaded()
	l.mu.Lock()
	if err != nil {
		l.fenceLocked(err)
	}
	l.mu.machine = m
	l.tell()
	l.mu.Unlock()
	if err != nil {
		l.s.drop(l)
		l.s.cfg.Log.Info("share partition not loaded", "group", l.key.group, "partition", l.part.Name(), "err", err)
	}
}

func (l *leader) loaded() (*share.Partition, error) {
	req := kmsg.NewPtrReadShareGroupStateRequest()
	req.GroupID = l.key.group
	req.Topics = []kmsg.ReadShareGroupStateRequestTopic{{TopicID: l.key.Topic,
		Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{{Partition: l.key.Index, LeaderEpoch: int32(l.epoch)}}}}
	topics := l.s.cfg.States.Ask(l.s.ctx, req).(*kmsg.ReadShareGroupStateResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("the share coordinator answered about %d topics: %w", len(topics), kerr.UnknownServerError)
	}
	kept := topics[0].Partitions[0]
	if err := stateError(kept.ErrorCode); err != nil {
		return nil, err
	}
	group := l.s.cfg.Group(l.key.group)
	state := share.State{StateEpoch: kept.StateEpoch, LeaderEpoch: l.epoch, Start: kafka.Offset(kept.StartOffset)}
	for _, b := range kept.StateBatches {
		state.Batches = append(state.Batches, share.StateBatch{First: kafka.Offset(b.FirstOffset), Last: kafka.Offset(b.LastOffset),
			State: share.DeliveryState(b.DeliveryState), Deliveries: b.DeliveryCount})
	}
	if state.Start == kafka.NoOffset {
		var err error
		if state.Start, err = l.begins(group.Reset); err != nil {
			return nil, err
		}
	}
	m, err := share.Load(group.Settings, state)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, kerr.UnknownServerError)
	}
	start, _, _, _, err := l.part.Offsets()
	if err != nil {
		return nil, err
	}
	m.MoveLogStart(start)
	return m, nil
}

// begins finds where a group begins that has not read the partition yet.
func (l *leader) begins(at Reset) (kafka.Offset, error) {
	which := partition.LatestOffset
	switch {
	case at.Earliest:
		which = partition.EarliestOffset
	case at.Ago > 0:
		which = time.Now().Add(-at.Ago).UnixMilli()
	}
	found, err := l.part.OffsetFor(which, l.epoch, false)
	if err == nil && found.Offset == kafka.NoOffset { // nothing is as young
		found, err = l.part.OffsetFor(partition.LatestOffset, l.epoch, false)
	}
	return found.Offset, err
}

// stateError is what members are told of an error of the share coordinator.
func stateError(code int16) error {
	err := kerr.ErrorForCode(code)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.NotCoordinator), errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.CoordinatorLoadInProgress):
		return kerr.CoordinatorNotAvailable
	case errors.Is(err, kerr.FencedLeaderEpoch), errors.Is(err, kerr.FencedStateEpoch):
		return fmt.Errorf("%v: %w", err, kerr.NotLeaderForPartition)
	case errors.Is(err, kerr.GroupIDNotFound), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.InvalidRequest):
		return kerr.InvalidRequest
	}
	return err
}

// keep begins to write what is to be kept, unless a write is under way. l.mu is held.
func (l *leader) keep() {
	if l.mu.err != nil || l.s.ctx.Err() != nil {
		return
	}
	if w, ok := l.mu.machine.NextWrite(); ok {
		l.s.wg.Go(func() { l.write(w) })
	}
}

// write has the share coordinator keep w, and what comes meanwhile.
func (l *leader) write(w share.Write) {
	for {
		err := l.store(w)
		if err != nil && !final(err) {
			l.s.cfg.Log.Warn("state of a share partition not kept", "group", l.key.group, "partition", l.part.Name(), "err", err)
		}
		next, more := l.settle(err)
		switch {
		case err != nil && final(err):
			l.fence(err)
			l.s.drop(l)
			return
		case !more:
			return
		case err != nil:
			select {
			case <-time.After(keepAgain):
			case <-l.s.ctx.Done():
				return
			}
		}
		w = next
	}
}

// final tells that the share coordinator will not take what this leader writes.
func final(err error) bool {
	return errors.Is(err, kerr.NotLeaderForPartition) || errors.Is(err, kerr.InvalidRequest)
}

// settle ends a write, tells those who wait for it, and returns what to write next.
func (l *leader) settle(err error) (share.Write, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	settled := l.mu.machine.Settle(time.Now(), err)
	kept := l.mu.waits[:0]
	for _, w := range l.mu.waits {
		if w.change <= settled {
			w.done <- err
		} else {
			kept = append(kept, w)
		}
	}
	l.mu.waits = kept
	l.arm()
	l.tell()
	if l.mu.err != nil {
		return share.Write{}, false
	}
	return l.mu.machine.NextWrite()
}

func (l *leader) store(w share.Write) error {
	req := kmsg.NewPtrWriteShareGroupStateRequest()
	req.Version, req.GroupID = 1, l.key.group
	p := kmsg.NewWriteShareGroupStateRequestTopicPartition()
	p.Partition, p.StateEpoch, p.LeaderEpoch = l.key.Index, w.StateEpoch, int32(w.LeaderEpoch)
	p.StartOffset, p.DeliveryCompleteCount = int64(w.Start), w.DeliveryComplete
	for _, b := range w.Batches {
		p.StateBatches = append(p.StateBatches, kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch{
			FirstOffset: int64(b.First), LastOffset: int64(b.Last), DeliveryState: int8(b.State), DeliveryCount: b.Deliveries,
		})
	}
	req.Topics = []kmsg.WriteShareGroupStateRequestTopic{{TopicID: l.key.Topic, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{p}}}
	topics := l.s.cfg.States.Ask(l.s.ctx, req).(*kmsg.WriteShareGroupStateResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return fmt.Errorf("the share coordinator answered about %d topics: %w", len(topics), kerr.UnknownServerError)
	}
	return stateError(topics[0].Partitions[0].ErrorCode)
}
