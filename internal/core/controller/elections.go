package controller

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// maxElections is how many leaders one request of the controller itself changes, as in Kafka: the next requests wait behind
// it.
const maxElections = 1000

// The election types of ElectLeaders.
const (
	preferredElection = 0
	uncleanElection   = 1
)

// electLeaders elects by command. Without topics it tries every partition, and tells only of those that needed it.
func (s *step) electLeaders(req *kmsg.ElectLeadersRequest) (*kmsg.ElectLeadersResponse, error) {
	kind := electPreferred
	switch req.ElectionType {
	case preferredElection:
	case uncleanElection:
		kind = electUnclean
	default:
		return nil, problem(kerr.InvalidRequest, "Unknown election type %d", req.ElectionType)
	}
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	if req.Topics == nil {
		for t := range s.img.Topics() {
			resp.Topics = append(resp.Topics, s.electAll(t, kind))
		}
		return resp, nil
	}
	done := map[kafka.TopicPartition]bool{}
	for i := range req.Topics {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = req.Topics[i].Topic
		for _, n := range req.Topics[i].Partitions {
			at := kafka.TopicPartition{Topic: out.Topic, Partition: n}
			if done[at] {
				continue
			}
			done[at] = true
			out.Partitions = append(out.Partitions, elected(n, s.electNamed(at, kind)))
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

func (s *step) electAll(t *metadata.Topic, kind election) kmsg.ElectLeadersResponseTopic {
	out := kmsg.NewElectLeadersResponseTopic()
	out.Topic = t.Name
	for n := range t.Partitions {
		if p := s.electLeader(t, int32(n), kind); p == nil || p.Code != kerr.ElectionNotNeeded {
			out.Partitions = append(out.Partitions, elected(int32(n), p))
		}
	}
	return out
}

func elected(n int32, p *Problem) kmsg.ElectLeadersResponseTopicPartition {
	out := kmsg.NewElectLeadersResponseTopicPartition()
	out.Partition = n
	if p != nil {
		out.ErrorCode, out.ErrorMessage = p.Code.Code, p.message()
	}
	return out
}

func (s *step) electNamed(at kafka.TopicPartition, kind election) *Problem {
	t, ok := s.img.Topic(at.Topic)
	switch {
	case !ok:
		return problem(kerr.UnknownTopicOrPartition, "No such topic as %s", at.Topic)
	case at.Partition < 0 || int(at.Partition) >= len(t.Partitions):
		return problem(kerr.UnknownTopicOrPartition, "No such partition as %s-%d", at.Topic, at.Partition)
	}
	return s.electLeader(t, at.Partition, kind)
}

// electLeader changes one partition's leader, or says why it stays. The words are those of Kafka's errors.
func (s *step) electLeader(t *metadata.Topic, n int32, kind election) *Problem {
	p := &t.Partitions[n]
	if kind == electPreferred && p.Leader == p.Replicas[0] || kind == electUnclean && p.Leader != kafka.NoNode {
		return problem(kerr.ElectionNotNeeded, "Leader election not needed for topic partition.")
	}
	c := s.newChange(t, n)
	c.election = kind
	switch {
	case s.commit(c) != nil:
		return nil
	case kind == electPreferred:
		return problem(kerr.PreferredLeaderNotAvailable, "The preferred leader was not available.")
	}
	return problem(kerr.EligibleLeadersNotAvailable, "Eligible topic partition leaders are not available.")
}

// balanceLeaders elects the preferred replicas that could lead and do not.
func (s *step) balanceLeaders() BalancedLeaders {
	moved, more := s.electWhere(electPreferred, func(_ *metadata.Topic, p *metadata.Partition) bool { return p.Leader != p.Replicas[0] })
	return BalancedLeaders{Moved: moved, More: more}
}

// electUnclean elects where there is no leader and the topic would rather lose records than wait.
func (s *step) electUnclean() ElectedUnclean {
	n, more := s.electWhere(electUnclean, func(t *metadata.Topic, p *metadata.Partition) bool {
		return p.Leader == kafka.NoNode && s.uncleanAllowed(t)
	})
	return ElectedUnclean{Elected: n, More: more}
}

func (s *step) electWhere(kind election, wanted func(*metadata.Topic, *metadata.Partition) bool) (done int, more bool) {
	s.eachPartition(func(t *metadata.Topic, n int32, p *metadata.Partition) {
		if done == maxElections {
			more = true
			return
		}
		if !wanted(t, p) {
			return
		}
		if s.electLeader(t, n, kind) == nil {
			done++
		}
	})
	return done, more
}
