package replication

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/partition"
)

// maxProposals bounds one request for in-sync replicas; the rest go with the next.
const maxProposals = 1000

// reportTime is how long the controller is asked for, with all tries.
const reportTime = 5 * time.Second

var errNoAnswer = errors.New("the controller's answer leaves the partition out")

// reporter asks the controller for the in-sync replicas that the partitions led here propose. It has one request under way at a time,
// of all that came together meanwhile.
type reporter struct {
	r    *Replicas
	bell chan struct{}

	mu struct {
		sync.Mutex
		noted map[*partition.Partition]struct{}
		all   bool
	}
}

func newReporter(r *Replicas) *reporter {
	p := &reporter{r: r, bell: make(chan struct{}, 1)}
	p.mu.noted = map[*partition.Partition]struct{}{}
	return p
}

// note has a partition asked for its proposal soon.
func (p *reporter) note(part *partition.Partition) {
	p.mu.Lock()
	p.mu.noted[part] = struct{}{}
	p.mu.Unlock()
	ring(p.bell)
}

// sweep has all asked.
func (p *reporter) sweep() {
	p.mu.Lock()
	p.mu.all = true
	p.mu.Unlock()
	ring(p.bell)
}

func (p *reporter) run() {
	t := time.NewTimer(p.sweepEvery())
	defer t.Stop()
	failures := 0
	for {
		select {
		case <-p.bell:
		case <-t.C:
			p.sweep()
			t.Reset(p.sweepEvery())
		case <-p.r.ctx.Done():
			return
		}
		for more := true; more; {
			var ok bool
			if more, ok = p.report(); ok {
				failures = 0
				continue
			}
			failures++
			if !p.r.pause(pauseAfter(failures, mostPause)) {
				return
			}
		}
	}
}

// sweepEvery is how often followers are looked for that lag: half of what they may, as in Apache Kafka.
func (p *reporter) sweepEvery() time.Duration {
	return max(p.r.Settings().Lag/2, leastPause)
}

// report asks the controller once, for as much as one request holds. more says that there is something to go on with; ok is
// false when a proposal was not decided, and shall be made again after a pause.
func (p *reporter) report() (more, ok bool) {
	proposals := p.collect()
	if len(proposals) == 0 {
		return false, true
	}
	ctx, cancel := context.WithTimeout(p.r.ctx, reportTime)
	defer cancel()
	answers, err := p.ask(ctx, proposals)
	ok = true
	for part, proposal := range proposals {
		perr := err
		if err == nil {
			code, answered := answers[key{proposal.TopicID, proposal.Partition.Partition}]
			if perr = kerr.ErrorForCode(code); !answered {
				perr = errNoAnswer
			}
		}
		part.ISRSettled(proposal, perr)
		if perr != nil {
			p.r.Log.Debug("in-sync replicas not changed", "partition", proposal.Partition.String(), "err", perr)
		}
		if again(perr) {
			ok = false
			p.note(part)
		}
	}
	return p.pending(), ok
}

// again tells whether to propose once more without having heard of new metadata: the controller did not decide, or it did not know
// yet what this node knows.
func again(err error) bool {
	switch {
	case err == nil, errors.Is(err, kerr.InvalidUpdateVersion), errors.Is(err, kerr.FencedLeaderEpoch), errors.Is(err, kerr.NotLeaderForPartition),
		errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.NewLeaderElected):
		return false
	}
	return true
}

func (p *reporter) pending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.all || len(p.mu.noted) > 0
}

// collect asks the partitions that were noted, or all, for what they propose.
func (p *reporter) collect() map[*partition.Partition]partition.ISRProposal {
	p.mu.Lock()
	all := p.mu.all
	if p.mu.all = false; all {
		clear(p.mu.noted)
	}
	var noted []*partition.Partition
	for part := range p.mu.noted {
		if len(noted) < maxProposals {
			noted = append(noted, part)
			delete(p.mu.noted, part)
		}
	}
	p.mu.Unlock()
	if all {
		for part := range p.r.Set.Led() {
			noted = append(noted, part)
		}
		noted = append(noted, p.r.Set.Hurt()...)
	}
	now, lag := time.Now(), p.r.Settings().Lag
	proposals := map[*partition.Partition]partition.ISRProposal{}
	for _, part := range noted {
		if len(proposals) == maxProposals {
			p.note(part)
			continue
		}
		if proposal, ok := part.ProposeISR(now, lag); ok {
			proposals[part] = proposal
		}
	}
	return proposals
}

// ask sends one request, and gives the answer's codes.
func (p *reporter) ask(ctx context.Context, proposals map[*partition.Partition]partition.ISRProposal) (map[key]int16, error) {
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version = 3
	req.BrokerID, req.BrokerEpoch = int32(p.r.Self), p.r.registration(p.r.Image())
	topics := map[kafka.TopicID]int{}
	for _, proposal := range proposals {
		i, ok := topics[proposal.TopicID]
		if !ok {
			i = len(req.Topics)
			topics[proposal.TopicID] = i
			t := kmsg.NewAlterPartitionRequestTopic()
			t.TopicID = proposal.TopicID
			req.Topics = append(req.Topics, t)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, requested(proposal))
	}
	reply, err := p.r.Submit(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, ok := reply.(*kmsg.AlterPartitionResponse)
	if !ok {
		return nil, errNoAnswer
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	answers := map[key]int16{}
	for _, t := range resp.Topics {
		for _, a := range t.Partitions {
			answers[key{t.TopidID, a.Partition}] = a.ErrorCode
		}
	}
	return answers, nil
}

func requested(proposal partition.ISRProposal) kmsg.AlterPartitionRequestTopicPartition {
	a := kmsg.NewAlterPartitionRequestTopicPartition()
	a.Partition, a.LeaderEpoch, a.PartitionEpoch = proposal.Partition.Partition, int32(proposal.LeaderEpoch), proposal.PartitionEpoch
	for _, m := range proposal.ISR {
		member := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
		member.BrokerID, member.BrokerEpoch = int32(m.ID), m.BrokerEpoch
		a.NewEpochISR = append(a.NewEpochISR, member)
	}
	return a
}
