package replication

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/partition"
)

// maxAssigned bounds one request of an assigner; the rest go with the next.
const maxAssigned = 2000

// assigner tells the controller in which log dirs the replicas of this node are, where the metadata has them elsewhere or does not
// know it. It has one request under way at a time, of all that came together meanwhile.
type assigner struct {
	r    *Replicas
	bell chan struct{}

	mu struct {
		sync.Mutex
		noted map[*partition.Partition]struct{}
	}
}

func newAssigner(r *Replicas) *assigner {
	a := &assigner{r: r, bell: make(chan struct{}, 1)}
	a.mu.noted = map[*partition.Partition]struct{}{}
	return a
}

// look has the controller told soon of a partition that is not where the metadata has it.
func (a *assigner) look(p *partition.Partition) {
	if _, news := p.Assignment(); !news {
		return
	}
	a.mu.Lock()
	a.mu.noted[p] = struct{}{}
	a.mu.Unlock()
	ring(a.bell)
}

func (a *assigner) run() {
	failures := 0
	for {
		select {
		case <-a.bell:
		case <-a.r.ctx.Done():
			return
		}
		for parts := a.take(); len(parts) > 0; parts = a.take() {
			err := a.tell(parts)
			if err == nil {
				failures = 0
				continue
			}
			failures++
			a.r.Log.Debug("the controller was not told of the log dirs of replicas", "err", err)
			for _, p := range parts {
				a.look(p)
			}
			if !a.r.pause(pauseAfter(failures, mostPause)) {
				return
			}
		}
	}
}

func (a *assigner) take() (parts []*partition.Partition) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := range a.mu.noted {
		if len(parts) == maxAssigned {
			break
		}
		parts = append(parts, p)
		delete(a.mu.noted, p)
	}
	return parts
}

// tell asks once. A replica that is refused by itself is one that the controller knows otherwise than this node yet; it is looked at
// again when the metadata is there.
func (a *assigner) tell(parts []*partition.Partition) error {
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = int32(a.r.Self), a.r.registration(a.r.Image())
	type place struct{ dir, topic kafka.TopicID }
	byPlace := map[place][]kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{}
	for _, p := range parts {
		if dir, news := p.Assignment(); news {
			at := place{dir, p.TopicID()}
			byPlace[at] = append(byPlace[at], kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{Partition: p.Name().Partition})
		}
	}
	if len(byPlace) == 0 {
		return nil
	}
	dirs := map[kafka.TopicID]int{}
	for at, numbers := range byPlace {
		i, ok := dirs[at.dir]
		if !ok {
			i = len(req.Directories)
			dirs[at.dir] = i
			req.Directories = append(req.Directories, kmsg.AssignReplicasToDirsRequestDirectory{ID: at.dir})
		}
		topic := kmsg.AssignReplicasToDirsRequestDirectoryTopic{TopicID: at.topic, Partitions: numbers}
		req.Directories[i].Topics = append(req.Directories[i].Topics, topic)
	}
	ctx, cancel := context.WithTimeout(a.r.ctx, reportTime)
	defer cancel()
	reply, err := a.r.Submit(ctx, req)
	if err != nil {
		return err
	}
	resp, ok := reply.(*kmsg.AssignReplicasToDirsResponse)
	if !ok {
		return errNoAnswer
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}
