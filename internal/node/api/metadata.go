package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

const (
	metadataAllIsNull    = 1  // before it, no topics meant all
	metadataListenerFrom = 6  // knows LISTENER_NOT_FOUND
	metadataByID         = 12 // topics may be named by id, and have no name
)

// The operations that are allowed to everybody while there is no authoriser, as bits by Kafka's numbers: all that exist for
// the kind of resource.
const (
	topicOperations   = 0b1101_1111_1000
	clusterOperations = 0b1_1111_1010_0000
)

// metadata answers which nodes there are, and where the partitions of topics are led.
func (s *Server) metadata(ctx context.Context, c *Call, req *kmsg.MetadataRequest) Response {
	resp := kmsg.NewPtrMetadataResponse()
	all := req.Topics == nil || c.Version < metadataAllIsNull && len(req.Topics) == 0
	if c.Version < metadataByID && slices.ContainsFunc(req.Topics, needsByID) {
		for _, t := range req.Topics {
			resp.Topics = append(resp.Topics, missingTopic(orEmpty(t.Topic), kafka.TopicID{}, kerr.InvalidRequest.Code))
		}
		return resp
	}
	var failed map[string]error
	if !all && req.AllowAutoTopicCreation {
		failed = s.autoCreate(ctx, req)
	}
	if s.Met != nil {
		s.Met(c.Client)
	}
	m := metadataAnswer{img: s.Metadata.Image(), listener: c.Client.Listener, version: c.Version, operations: req.IncludeTopicAuthorizedOperations}
	m.nodes(resp)
	if all {
		for t := range m.img.Topics() {
			resp.Topics = append(resp.Topics, m.topic(t))
		}
	} else {
		resp.Topics = m.topics(req.Topics, func(name string) int16 { return s.codeOf(failed[name], "create topic "+name) })
	}
	if req.IncludeClusterAuthorizedOperations && c.Version <= 10 {
		resp.AuthorizedOperations = clusterOperations
	}
	return resp
}

func needsByID(t kmsg.MetadataRequestTopic) bool { return t.Topic == nil || t.TopicID != [16]byte{} }

func orEmpty(s *string) *string {
	if s == nil {
		return new(string)
	}
	return s
}

// autoCreate creates the topics that are named and missing, where the node allows it too. Unlike Apache Kafka, which answers
// "unknown topic" until the client asks again, it waits for the topics and answers with them.
func (s *Server) autoCreate(ctx context.Context, req *kmsg.MetadataRequest) map[string]error {
	if s.AutoCreate == nil || !s.Settings().AutoCreateTopics {
		return nil
	}
	img := s.Metadata.Image()
	var missing []string
	seen := map[string]struct{}{} // a request has room for hundreds of thousands of names
	for _, t := range req.Topics {
		if t.Topic == nil || t.TopicID != [16]byte{} || kafka.ValidateTopicName(*t.Topic) != nil {
			continue
		}
		_, there := img.Topic(*t.Topic)
		if _, twice := seen[*t.Topic]; !there && !twice {
			seen[*t.Topic] = struct{}{}
			missing = append(missing, *t.Topic)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	failed := s.AutoCreate(ctx, missing)
	for name, err := range failed {
		switch {
		case errors.Is(err, kerr.TopicAlreadyExists):
			delete(failed, name) // somebody else was quicker
		case errors.Is(err, kerr.NotController), errors.Is(err, context.DeadlineExceeded):
			// No controller answered, of which clients know nothing here; this code makes them ask again.
			failed[name] = fmt.Errorf("%w: %v", kerr.LeaderNotAvailable, err)
		}
	}
	return failed
}

// metadataAnswer is what one answer is made from.
type metadataAnswer struct {
	img        *metadata.Image
	listener   string
	version    int16
	operations bool
}

// nodes lists the nodes that can be reached by the client's listener.
func (m *metadataAnswer) nodes(resp *kmsg.MetadataResponse) {
	id := m.img.ClusterID()
	resp.ClusterID = &id
	resp.ControllerID = -1
	for _, n := range m.img.Brokers() {
		l, ok := listenerOf(n, m.listener)
		if !ok || !n.Active() {
			continue
		}
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = int32(n.ID), l.Host, int32(l.Port), n.Rack
		resp.Brokers = append(resp.Brokers, b)
		// Any node passes requests for the controller on; the controller itself saves the detour.
		if n.ID == m.img.ControllerID() || resp.ControllerID < 0 {
			resp.ControllerID = int32(n.ID)
		}
	}
}

// topics answers those that are named: by id if any is, else by name, each once.
func (m *metadataAnswer) topics(named []kmsg.MetadataRequestTopic, failed func(name string) int16) []kmsg.MetadataResponseTopic {
	byID := slices.ContainsFunc(named, func(t kmsg.MetadataRequestTopic) bool { return t.TopicID != [16]byte{} })
	answers := make([]kmsg.MetadataResponseTopic, 0, len(named))
	seen := make(map[string]bool, len(named))
	for _, want := range named {
		key := string(want.TopicID[:])
		if !byID {
			key = *orEmpty(want.Topic)
		}
		if byID && want.TopicID == [16]byte{} || seen[key] {
			continue
		}
		seen[key] = true
		if byID {
			answers = append(answers, m.byID(want.TopicID))
			continue
		}
		answers = append(answers, m.byName(key, failed))
	}
	return answers
}

func (m *metadataAnswer) byID(id kafka.TopicID) kmsg.MetadataResponseTopic {
	if t, ok := m.img.TopicByID(id); ok {
		return m.topic(t)
	}
	return missingTopic(nil, id, kerr.UnknownTopicID.Code)
}

func (m *metadataAnswer) byName(name string, failed func(name string) int16) kmsg.MetadataResponseTopic {
	if t, ok := m.img.Topic(name); ok {
		return m.topic(t)
	}
	code := kerr.UnknownTopicOrPartition.Code
	if kafka.ValidateTopicName(name) != nil {
		code = kerr.InvalidTopicException.Code
	} else if f := failed(name); f != 0 {
		code = f
	}
	return missingTopic(&name, kafka.TopicID{}, code)
}

func missingTopic(name *string, id kafka.TopicID, code int16) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.TopicID, t.ErrorCode = name, id, code
	t.IsInternal = name != nil && kafka.IsInternalTopic(*name)
	return t
}

func (m *metadataAnswer) topic(t *metadata.Topic) kmsg.MetadataResponseTopic {
	a := kmsg.NewMetadataResponseTopic()
	a.Topic, a.TopicID, a.IsInternal = &t.Name, t.ID, kafka.IsInternalTopic(t.Name)
	if m.operations {
		a.AuthorizedOperations = topicOperations
	}
	a.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		a.Partitions[i] = m.partition(int32(i), &t.Partitions[i])
	}
	return a
}

func (m *metadataAnswer) partition(number int32, p *metadata.Partition) kmsg.MetadataResponseTopicPartition {
	a := kmsg.NewMetadataResponseTopicPartition()
	a.Partition, a.Leader, a.LeaderEpoch = number, int32(p.Leader), int32(p.LeaderEpoch)
	a.Replicas, a.ISR, a.OfflineReplicas = numbers(p.Replicas), numbers(p.ISR), m.offline(p)
	n, ok := m.img.Node(p.Leader)
	if !ok || n.Fenced {
		a.ErrorCode, a.Leader = kerr.LeaderNotAvailable.Code, -1
	} else if _, reached := listenerOf(n, m.listener); !reached {
		a.ErrorCode, a.Leader = kerr.LeaderNotAvailable.Code, -1
		if m.version >= metadataListenerFrom {
			a.ErrorCode = kerr.ListenerNotFound.Code
		}
	}
	return a
}

// offline lists the replicas on nodes that are not there, and those in log dirs that are offline.
func (m *metadataAnswer) offline(p *metadata.Partition) []int32 {
	var off []int32
	for _, id := range p.Replicas {
		if n, ok := m.img.Node(id); !ok || n.Fenced || !n.HasDir(p.Directory(id)) {
			off = append(off, int32(id))
		}
	}
	return off
}

func numbers(ids []kafka.NodeID) []int32 {
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out
}
