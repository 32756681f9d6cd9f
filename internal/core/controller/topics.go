package controller

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

func (s *step) createTopics(req *kmsg.CreateTopicsRequest) (*kmsg.CreateTopicsResponse, error) {
	if err := s.countPartitions(req); err != nil {
		return nil, err
	}
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	names := func(i int) string { return req.Topics[i].Topic }
	once, twice := unique(len(req.Topics), names)
	for _, i := range once {
		t := &req.Topics[i]
		if t.Topic == kafka.MetadataTopic {
			continue
		}
		created, err := s.createTopic(t)
		if err != nil {
			created = refusedTopic(t.Topic, err)
		}
		resp.Topics = append(resp.Topics, created)
	}
	// As in Kafka, what is refused before the controller sees it comes last.
	for _, name := range twice {
		resp.Topics = append(resp.Topics, refusedTopic(name, problem(kerr.InvalidRequest, "Duplicate topic name.")))
	}
	for _, i := range once {
		if names(i) == kafka.MetadataTopic {
			resp.Topics = append(resp.Topics, refusedTopic(names(i), problem(kerr.InvalidRequest,
				"Creation of internal topic %s is prohibited.", kafka.MetadataTopic)))
		}
	}
	if req.ValidateOnly {
		s.records = nil
	}
	return resp, nil
}

// countPartitions refuses a whole request that asks for too many partitions.
func (s *step) countPartitions(req *kmsg.CreateTopicsRequest) error {
	total := int64(0)
	for i := range req.Topics {
		switch t := &req.Topics[i]; {
		case len(t.ReplicaAssignment) > 0:
			total += int64(len(t.ReplicaAssignment))
		case t.NumPartitions == -1:
			total += int64(s.cfg.DefaultPartitions(s.img))
		case t.NumPartitions > 0:
			total += int64(t.NumPartitions)
		}
	}
	if total > MaxRecords {
		return problem(kerr.PolicyViolation, "Excessively large number of partitions per request.")
	}
	return nil
}

// unique splits the positions 0..n-1 into those whose name appears once, and the names that appear more often; both in
// order of appearance.
func unique(n int, name func(int) string) (once []int, twice []string) {
	seen := make(map[string]int, n)
	for i := range n {
		seen[name(i)]++
	}
	for i := range n {
		switch seen[name(i)] {
		case 1:
			once = append(once, i)
		case 0: // told already
		default:
			twice = append(twice, name(i))
			seen[name(i)] = 0
		}
	}
	return once, twice
}

func refusedTopic(name string, p *Problem) kmsg.CreateTopicsResponseTopic {
	t := kmsg.NewCreateTopicsResponseTopic()
	t.Topic = name
	t.ErrorCode, t.ErrorMessage = p.Code.Code, p.message()
	t.NumPartitions, t.ReplicationFactor = -1, -1
	t.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
	return t
}

// message is nil for a Problem without words of its own.
func (p *Problem) message() *string {
	if p.Message == "" {
		return nil
	}
	return &p.Message
}

func (s *step) createTopic(t *kmsg.CreateTopicsRequestTopic) (kmsg.CreateTopicsResponseTopic, *Problem) {
	var none kmsg.CreateTopicsResponseTopic
	if p := s.checkNewName(t.Topic); p != nil {
		return none, p
	}
	configs, p := s.creationConfigs(t)
	if p != nil {
		return none, p
	}
	placed, p := s.placeNewTopic(t)
	if p != nil {
		return none, p
	}
	id := s.newID()
	s.add(&metadata.TopicRecord{Name: t.Topic, ID: id})
	// As in Kafka, a topic's configuration stands between the topic and its partitions.
	s.addConfigs(metadata.ConfigResource{Type: metadata.TopicConfig, Name: t.Topic}, configs)
	for i, replicas := range placed {
		s.add(s.newPartition(id, int32(i), replicas))
	}
	out := kmsg.NewCreateTopicsResponseTopic()
	out.Topic, out.TopicID = t.Topic, id
	out.NumPartitions, out.ReplicationFactor = int32(len(placed)), int16(len(placed[0]))
	out.Configs = s.cfg.Rules.Effective(s.img, configs)
	return out, nil
}

func (s *step) checkNewName(name string) *Problem {
	if _, ok := s.img.Topic(name); ok {
		return problem(kerr.TopicAlreadyExists, "Topic '%s' already exists.", name)
	}
	if p := CheckTopicName(name); p != nil {
		return p
	}
	if other, ok := s.img.Colliding(name); ok {
		return problem(kerr.InvalidTopicException, "Topic '%s' collides with existing topic: %s", name, other)
	}
	return nil
}

// CheckTopicName says in Kafka's words what kafka.ValidateTopicName refuses; nil when it does not.
func CheckTopicName(name string) *Problem {
	if kafka.ValidateTopicName(name) == nil {
		return nil
	}
	switch {
	case name == "":
		return problem(kerr.InvalidTopicException, "Topic name is invalid: the empty string is not allowed")
	case name == "." || name == "..":
		return problem(kerr.InvalidTopicException, "Topic name is invalid: '%s' is not allowed", name)
	case len(name) > kafka.MaxTopicNameLen:
		return problem(kerr.InvalidTopicException, "Topic name is invalid: the length of '%s' is longer than the max allowed length %d", name, kafka.MaxTopicNameLen)
	}
	return problem(kerr.InvalidTopicException, "Topic name is invalid: '%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
}

// creationConfigs checks the configuration that a topic is to be created with. Of a key given twice the last counts.
func (s *step) creationConfigs(t *kmsg.CreateTopicsRequestTopic) (map[string]string, *Problem) {
	configs := make(map[string]string, len(t.Configs))
	var null []string
	for i := range t.Configs {
		if t.Configs[i].Value == nil {
			null = append(null, t.Configs[i].Name)
			continue
		}
		configs[t.Configs[i].Name] = *t.Configs[i].Value
	}
	if len(null) > 0 {
		return nil, problem(kerr.InvalidConfig, "Null value not supported for topic configs: %s", strings.Join(null, ","))
	}
	return configs, s.checkConfigs(metadata.ConfigResource{Type: metadata.TopicConfig, Name: t.Topic}, configs, configs)
}

// placeNewTopic says on which nodes each partition goes, by the request's assignment or by our own choice.
func (s *step) placeNewTopic(t *kmsg.CreateTopicsRequestTopic) ([][]kafka.NodeID, *Problem) {
	switch {
	case len(t.ReplicaAssignment) > 0:
		return s.assignedReplicas(t)
	case t.ReplicationFactor < -1 || t.ReplicationFactor == 0:
		return nil, problem(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	case t.NumPartitions < -1 || t.NumPartitions == 0:
		return nil, problem(kerr.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	partitions, factor := t.NumPartitions, t.ReplicationFactor
	if partitions == -1 {
		partitions = s.cfg.DefaultPartitions(s.img)
	}
	if factor == -1 {
		factor = s.cfg.DefaultReplicationFactor(s.img)
	}
	placed, p := s.placement().place(nil, int(partitions), int(factor), s.rnd)
	if p != nil {
		p.Message = "Unable to replicate the partition " + itoa(int(factor)) + " time(s): " + p.Message
	}
	return placed, p
}

func (s *step) assignedReplicas(t *kmsg.CreateTopicsRequestTopic) ([][]kafka.NodeID, *Problem) {
	if t.ReplicationFactor != -1 {
		return nil, problem(kerr.InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	}
	if t.NumPartitions != -1 {
		return nil, problem(kerr.InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	placed := make(map[int32][]kafka.NodeID, len(t.ReplicaAssignment))
	factor := -1
	for i := range t.ReplicaAssignment {
		a := &t.ReplicaAssignment[i]
		if _, ok := placed[a.Partition]; ok {
			return nil, problem(kerr.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.Partition)
		}
		replicas, p := s.checkAssignment(a.Replicas, factor, a.Partition)
		if p != nil {
			return nil, p
		}
		placed[a.Partition], factor = replicas, len(replicas)
	}
	out := make([][]kafka.NodeID, len(placed))
	for i := range out {
		replicas, ok := placed[int32(i)]
		if !ok {
			return nil, problem(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
		out[i] = replicas
	}
	return out, nil
}

// checkAssignment checks one partition's manual assignment; factor is what other partitions have, -1 for the first.
func (s *step) checkAssignment(ids []int32, factor int, partition int32) ([]kafka.NodeID, *Problem) {
	if p := s.checkReplicas(ids, factor); p != nil {
		return nil, p
	}
	replicas := toNodes(ids)
	if !slices.ContainsFunc(replicas, func(id kafka.NodeID) bool { n, _ := s.img.Node(id); return n.Active() }) {
		return nil, problem(kerr.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", partition)
	}
	return replicas, nil
}

// checkReplicas allows registered brokers, each once, and as many as factor says, unless it is -1.
func (s *step) checkReplicas(ids []int32, factor int) *Problem {
	if len(ids) == 0 {
		return problem(kerr.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(ids))
	for i, id := range sorted {
		if _, ok := s.img.Broker(kafka.NodeID(id)); !ok {
			return problem(kerr.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if i > 0 && sorted[i-1] == id {
			return problem(kerr.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	if factor >= 0 && len(ids) != factor {
		return problem(kerr.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), "+
			"but this is not consistent with previous partitions, which have %d replica(s).", len(ids), factor)
	}
	return nil
}

// newPartition is led by the first of its replicas that is active; every active replica begins in sync.
func (s *step) newPartition(topic kafka.TopicID, partition int32, replicas []kafka.NodeID) *metadata.PartitionRecord {
	p := &metadata.PartitionRecord{Topic: topic, Partition: partition, Replicas: replicas}
	for _, id := range replicas {
		n, _ := s.img.Node(id)
		if n.Active() {
			p.ISR = append(p.ISR, id)
		}
		p.Directories = append(p.Directories, defaultDirectory(n))
	}
	p.Leader = p.ISR[0]
	return p
}

// defaultDirectory is where a new replica goes: the node's only log dir, or unassigned (zero) where it has to choose.
func defaultDirectory(n *metadata.Node) kafka.TopicID {
	if len(n.LogDirs) == 1 {
		return n.LogDirs[0]
	}
	return kafka.TopicID{}
}
