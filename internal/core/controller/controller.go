// Package controller decides the changes of the cluster's metadata. Step looks at an Image and a request and says which
// records answer it, and what to reply; it changes nothing. node/quorum calls it on the active controller, one request at
// a time, and makes the records durable before the reply is given. The package is pure: no goroutine, no clock.
package controller

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// MaxRecords is the most records, and partitions, that one request may make, as in Kafka.
const MaxRecords = 10000

// ProducerIDBlock is how many producer ids one allocation hands out, as in Kafka.
const ProducerIDBlock = 1000

// Config is what Step has to know besides the Image.
type Config struct {
	DefaultPartitions        func(img *metadata.Image) int32 // num.partitions
	DefaultReplicationFactor func(img *metadata.Image) int16 // default.replication.factor
	// InternalReplicationFactor is how many replicas an internal topic is to have as soon as there are nodes for them, such as
	// offsets.topic.replication.factor; 0 for as many as it was made with. Nil is that for all.
	InternalReplicationFactor func(topic string) int16
	Rules                     ConfigRules
	// Features are finalised, at these levels, in a log that has none yet. Names and levels are those of Kafka.
	Features map[string]int16
	// Supported are the levels that this node itself can run at, which it may have to do alone; nil where it is always one of the
	// registered nodes.
	Supported []metadata.FeatureRange
}

// ConfigRules knows the configuration keys. Its errors are told to users as they are: under INVALID_CONFIG, or under the
// *kerr.Error that they wrap.
type ConfigRules interface {
	// Check says why a resource may not have all these overrides, of which changed are the ones to be set now; nil when it
	// may. It refuses unknown names, values that contradict each other, and broker keys that do not change while nodes run.
	Check(img *metadata.Image, r metadata.ConfigResource, all, changed map[string]string) error
	// IsList tells whether APPEND and SUBTRACT apply.
	IsList(scope metadata.ConfigType, name string) bool
	// Default is the value that APPEND and SUBTRACT start from where nothing is set.
	Default(scope metadata.ConfigType, name string) string
	// Effective is what a topic with these overrides is created with, sorted by name, as CreateTopics 5 and later reply.
	Effective(img *metadata.Image, overrides map[string]string) []kmsg.CreateTopicsResponseTopicConfig
	// MinISR is a topic's min.insync.replicas; of the topic without a name that of topics which do not set their own.
	MinISR(img *metadata.Image, topic string) int
	// Unclean is a topic's unclean.leader.election.enable.
	Unclean(img *metadata.Image, topic string) bool
	// Flushes tells whether all that a topic's replicas acknowledged is on their disks: durability=flush.
	Flushes(img *metadata.Image, topic string) bool
}

// Controller is Step with its configuration. It holds no state of the cluster.
type Controller struct{ cfg Config }

// New returns a Controller. Rules must be set; nil defaults mean one partition and one replica.
func New(cfg Config) *Controller {
	if cfg.DefaultPartitions == nil {
		cfg.DefaultPartitions = func(*metadata.Image) int32 { return 1 }
	}
	if cfg.DefaultReplicationFactor == nil {
		cfg.DefaultReplicationFactor = func(*metadata.Image) int16 { return 1 }
	}
	if cfg.InternalReplicationFactor == nil {
		cfg.InternalReplicationFactor = func(string) int16 { return 0 }
	}
	return &Controller{cfg: cfg}
}

// Output is what Step decided. The records are applied all or none; Reply is given when they are committed. With Err set
// there are no records, and the caller gets the error in place of a reply.
type Output struct {
	Records []metadata.Record
	Reply   any
	Err     error
}

// Step answers one request against img. Requests and replies:
//
//	*kmsg.CreateTopicsRequest               *kmsg.CreateTopicsResponse
//	*kmsg.DeleteTopicsRequest               *kmsg.DeleteTopicsResponse
//	*kmsg.CreatePartitionsRequest           *kmsg.CreatePartitionsResponse
//	*kmsg.IncrementalAlterConfigsRequest    *kmsg.IncrementalAlterConfigsResponse
//	*kmsg.AlterConfigsRequest               *kmsg.AlterConfigsResponse
//	*kmsg.BrokerRegistrationRequest         *kmsg.BrokerRegistrationResponse
//	*kmsg.BrokerHeartbeatRequest            *kmsg.BrokerHeartbeatResponse
//	*kmsg.AssignReplicasToDirsRequest       *kmsg.AssignReplicasToDirsResponse
//	*kmsg.UnregisterBrokerRequest           *kmsg.UnregisterBrokerResponse
//	*kmsg.AlterPartitionRequest             *kmsg.AlterPartitionResponse
//	*kmsg.ElectLeadersRequest               *kmsg.ElectLeadersResponse
//	*kmsg.AlterPartitionAssignmentsRequest  *kmsg.AlterPartitionAssignmentsResponse
//	*kmsg.ListPartitionReassignmentsRequest *kmsg.ListPartitionReassignmentsResponse
//	*kmsg.UpdateFeaturesRequest             *kmsg.UpdateFeaturesResponse
//	*kmsg.AllocateProducerIDsRequest        *kmsg.AllocateProducerIDsResponse
//	FenceNode                               FencedNode
//	BalanceLeaders                          BalancedLeaders
//	ElectUnclean                            ElectedUnclean
//	GrowInternalTopics                      GrownInternalTopics
//	Bootstrap                               Bootstrapped
//	AdoptTopic                              AdoptedTopic
//	RaiseProducerIDs                        RaisedProducerIDs
func (c *Controller) Step(now time.Time, rnd *rand.Rand, img *metadata.Image, req any) Output {
	s := &step{cfg: &c.cfg, rnd: rnd, img: img}
	reply, err := s.answer(req)
	_, client := req.(kmsg.Request)
	if err == nil && client && len(s.records)-s.implied > MaxRecords {
		err = problem(kerr.PolicyViolation, "Unable to perform excessively large batch operation.")
	}
	if p, ok := err.(*Problem); ok && client {
		return Output{Reply: refuseWhole(req, p)}
	}
	if err != nil {
		return Output{Err: err}
	}
	return Output{Records: s.records, Reply: reply}
}

func (s *step) answer(req any) (reply any, err error) {
	switch req := req.(type) {
	case *kmsg.CreateTopicsRequest:
		return s.createTopics(req)
	case *kmsg.DeleteTopicsRequest:
		return s.deleteTopics(req), nil
	case *kmsg.CreatePartitionsRequest:
		return s.createPartitions(req)
	case *kmsg.IncrementalAlterConfigsRequest:
		return s.incrementalAlterConfigs(req), nil
	case *kmsg.AlterConfigsRequest:
		return s.alterConfigs(req), nil
	case *kmsg.BrokerRegistrationRequest:
		return s.registerBroker(req)
	case *kmsg.BrokerHeartbeatRequest:
		return s.heartbeat(req)
	case *kmsg.AssignReplicasToDirsRequest:
		return s.assignReplicasToDirs(req)
	case *kmsg.UnregisterBrokerRequest:
		return s.unregisterBroker(req)
	case *kmsg.AlterPartitionRequest:
		return s.alterPartition(req)
	case *kmsg.ElectLeadersRequest:
		return s.electLeaders(req)
	case *kmsg.AlterPartitionAssignmentsRequest:
		return s.alterReassignments(req)
	case *kmsg.ListPartitionReassignmentsRequest:
		return s.listReassignments(req), nil
	case *kmsg.UpdateFeaturesRequest:
		return s.updateFeatures(req)
	case *kmsg.AllocateProducerIDsRequest:
		return s.allocateProducerIDs(req)
	}
	return s.answerItself(req)
}

// answerItself takes what the active controller asks itself. No client and no other node can send these.
func (s *step) answerItself(req any) (reply any, err error) {
	switch req := req.(type) {
	case FenceNode:
		return s.fenceNode(req)
	case BalanceLeaders:
		return s.balanceLeaders(), nil
	case ElectUnclean:
		return s.electUnclean(), nil
	case GrowInternalTopics:
		return s.growInternalTopics(), nil
	case Bootstrap:
		return s.bootstrap(), nil
	case AdoptTopic:
		return s.adoptTopic(req)
	case RaiseProducerIDs:
		return s.raiseProducerIDs(req), nil
	}
	return nil, fmt.Errorf("controller: no step for %T: %w", req, kerr.UnsupportedVersion)
}

// step is one call of Step: what it reads, and the records that it has decided so far.
type step struct {
	cfg     *Config
	rnd     *rand.Rand
	img     *metadata.Image
	records []metadata.Record
	implied int        // those of the records that MaxRecords does not count
	places  *placement // nil until something is to be placed

	minISRs           remembered[int]
	uncleans, durable remembered[bool]
}

func (s *step) add(recs ...metadata.Record) { s.records = append(s.records, recs...) }

// enact adds the request's first record, and lets the rest of the step see the Image that it makes.
func (s *step) enact(r metadata.Record) {
	s.add(r)
	s.img, _ = s.img.Apply([]metadata.Record{r}, s.img.Offset()+1)
}

// newID draws a random (version 4) UUID that is not in use and not one of the reserved ones, which Kafka keeps below 100.
func (s *step) newID() kafka.TopicID {
	for {
		var id kafka.TopicID
		for i := 0; i < len(id); i += 8 {
			v := s.rnd.Uint64()
			for j := range 8 {
				id[i+j] = byte(v >> (8 * j))
			}
		}
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		// Kafka avoids ids that print with a leading dash, which command lines would take for a flag.
		if _, taken := s.img.TopicByID(id); !taken && id.String()[0] != '-' {
			return id
		}
	}
}

// Problem is an answer other than success about one topic, partition or resource: the code and the words for the user.
type Problem struct {
	Code    *kerr.Error
	Message string
}

func problem(code *kerr.Error, format string, args ...any) *Problem {
	return &Problem{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (p *Problem) Error() string { return p.Code.Message + ": " + p.Message }

// Unwrap gives the protocol's error.
func (p *Problem) Unwrap() error { return p.Code }
