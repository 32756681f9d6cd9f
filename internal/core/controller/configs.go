package controller

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// maxConfigValue is the longest value in bytes, as in Kafka.
const maxConfigValue = 1<<15 - 1

// alteration is what one resource of a request asks for.
type alteration struct {
	resource metadata.ConfigResource
	ops      []configOp
	// replace makes the ops, all of them sets, the whole of the resource's overrides (the legacy AlterConfigs).
	replace bool
}

type configOp struct {
	name  string
	op    kmsg.IncrementalAlterConfigOp
	value *string
}

func (s *step) incrementalAlterConfigs(req *kmsg.IncrementalAlterConfigsRequest) *kmsg.IncrementalAlterConfigsResponse {
	asked := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		r := &req.Resources[i]
		asked[i].resource = metadata.ConfigResource{Type: metadata.ConfigType(r.ResourceType), Name: r.ResourceName}
		for j := range r.Configs {
			asked[i].ops = append(asked[i].ops, configOp{r.Configs[j].Name, r.Configs[j].Op, r.Configs[j].Value})
		}
	}
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for i, p := range s.alter(asked, req.ValidateOnly) {
		resp.Resources = append(resp.Resources, incrementalAnswer(&req.Resources[i], p))
	}
	return resp
}

func incrementalAnswer(asked *kmsg.IncrementalAlterConfigsRequestResource, p *Problem) kmsg.IncrementalAlterConfigsResponseResource {
	r := kmsg.NewIncrementalAlterConfigsResponseResource()
	r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
	if p != nil {
		r.ErrorCode, r.ErrorMessage = p.Code.Code, p.message()
	}
	return r
}

func (s *step) alterConfigs(req *kmsg.AlterConfigsRequest) *kmsg.AlterConfigsResponse {
	asked := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		r := &req.Resources[i]
		asked[i].replace = true
		asked[i].resource = metadata.ConfigResource{Type: metadata.ConfigType(r.ResourceType), Name: r.ResourceName}
		for j := range r.Configs {
			asked[i].ops = append(asked[i].ops, configOp{r.Configs[j].Name, kmsg.IncrementalAlterConfigOpSet, r.Configs[j].Value})
		}
	}
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	for i, p := range s.alter(asked, req.ValidateOnly) {
		resp.Resources = append(resp.Resources, legacyAnswer(&req.Resources[i], p))
	}
	return resp
}

func legacyAnswer(asked *kmsg.AlterConfigsRequestResource, p *Problem) kmsg.AlterConfigsResponseResource {
	r := kmsg.NewAlterConfigsResponseResource()
	r.ResourceType, r.ResourceName = asked.ResourceType, asked.ResourceName
	if p != nil {
		r.ErrorCode, r.ErrorMessage = p.Code.Code, p.message()
	}
	return r
}

// alter answers each resource by itself: one that is refused changes nothing, and holds no other back.
func (s *step) alter(asked []alteration, validateOnly bool) []*Problem {
	count := map[metadata.ConfigResource]int{}
	for i := range asked {
		count[asked[i].resource]++
	}
	problems := make([]*Problem, len(asked))
	for i := range asked {
		if count[asked[i].resource] > 1 {
			problems[i] = problem(kerr.InvalidRequest, "Each resource must appear at most once.")
			continue
		}
		problems[i] = s.alterResource(&asked[i])
	}
	if validateOnly {
		s.records = nil
	}
	s.settleConfigs()
	return problems
}

// settleConfigs makes partitions follow the configuration at once. A leader whose min.insync.replicas was lowered moves its
// high watermark from now on, beyond what the eligible replicas hold; and where unclean elections were allowed, a partition
// without a leader has waited for nothing else.
func (s *step) settleConfigs() {
	eligible, unclean := false, false
	for _, r := range s.records {
		c := r.(*metadata.ConfigRecord)
		eligible = eligible || c.Name == minISRKey && s.keepsEligible()
		unclean = unclean || c.Name == "unclean.leader.election.enable"
	}
	if !eligible && !unclean {
		return
	}
	s.img, _ = s.img.Apply(s.records, s.img.Offset()+kafka.Offset(len(s.records)))
	s.eachPartition(func(t *metadata.Topic, n int32, p *metadata.Partition) {
		if eligible && len(p.ELR) > 0 || unclean && p.Leader == kafka.NoNode {
			s.commit(s.newChange(t, n))
		}
	})
}

func (s *step) alterResource(a *alteration) *Problem {
	if p := a.checkOps(); p != nil {
		return p
	}
	if p := s.checkResource(a.resource); p != nil {
		return p
	}
	old := s.img.Config(a.resource)
	set, gone, p := s.outcome(a, old)
	if p != nil {
		return p
	}
	if p := s.checkMinISR(a.resource, set, gone); p != nil {
		return p
	}
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, set)
	for _, name := range gone {
		delete(all, name)
	}
	if p := s.checkConfigs(a.resource, all, set); p != nil {
		return p
	}
	// As in Kafka, a broker's value is written again though it is the same: it makes nodes read files anew that it names.
	again := a.resource.Type == metadata.BrokerConfig
	maps.DeleteFunc(set, func(name, value string) bool {
		was, ok := old[name]
		return ok && was == value && !again
	})
	s.addConfigs(a.resource, set)
	for _, name := range gone {
		if _, ok := old[name]; ok || again {
			s.add(&metadata.ConfigRecord{Resource: a.resource, Name: name})
		}
	}
	return nil
}

// checkOps refuses what is malformed whatever the resource is.
func (a *alteration) checkOps() *Problem {
	seen := map[string]bool{}
	var null []string
	for _, op := range a.ops {
		if seen[op.name] {
			return problem(kerr.InvalidRequest, "Error due to duplicate config keys")
		}
		seen[op.name] = true
		if op.op != kmsg.IncrementalAlterConfigOpDelete && op.value == nil {
			null = append(null, op.name)
		}
	}
	if len(null) > 0 {
		return problem(kerr.InvalidRequest, "Null value not supported for : %s", strings.Join(null, ", "))
	}
	return nil
}

func (s *step) checkResource(r metadata.ConfigResource) *Problem {
	switch r.Type {
	case metadata.TopicConfig:
		if r.Name == "" {
			return problem(kerr.InvalidRequest, "Default topic resources are not allowed.")
		}
		if p := CheckTopicName(r.Name); p != nil {
			return p
		}
		if _, ok := s.img.Topic(r.Name); !ok {
			return problem(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", r.Name)
		}
	case metadata.BrokerConfig:
		return s.checkBrokerName(r.Name)
	case metadata.GroupConfig:
		if r.Name == "" {
			return problem(kerr.InvalidRequest, "Default group resources are not allowed.")
		}
	case metadata.ClientMetricsConfig:
		return problem(kerr.InvalidRequest, "Client metrics subscriptions are not supported by this cluster.")
	default:
		return problem(kerr.InvalidRequest, "Unknown resource type %d", r.Type)
	}
	return nil
}

// checkBrokerName allows the cluster's default (empty) and the ids of registered nodes.
func (s *step) checkBrokerName(name string) *Problem {
	if name == "" {
		return nil
	}
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return problem(kerr.InvalidRequest, "Node id must be an integer, but it is: %s", name)
	}
	if id < 0 {
		return problem(kerr.InvalidRequest, "Invalid negative broker ID.")
	}
	if _, ok := s.img.Node(kafka.NodeID(id)); !ok {
		return problem(kerr.BrokerIDNotRegistered, "No node with id %d found.", id)
	}
	return nil
}

// outcome says which keys get which value, and which lose theirs, sorted.
func (s *step) outcome(a *alteration, old map[string]string) (set map[string]string, gone []string, _ *Problem) {
	set = map[string]string{}
	for _, op := range a.ops {
		switch op.op {
		case kmsg.IncrementalAlterConfigOpSet:
			set[op.name] = *op.value
		case kmsg.IncrementalAlterConfigOpDelete:
			gone = append(gone, op.name)
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			value, p := s.changeList(a.resource, op, old)
			if p != nil {
				return nil, nil, p
			}
			set[op.name] = value
		default:
			return nil, nil, problem(kerr.InvalidRequest, "Unknown operations type %d", op.op)
		}
	}
	for name := range old {
		if _, kept := set[name]; a.replace && !kept {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return set, gone, nil
}

func (s *step) changeList(r metadata.ConfigResource, op configOp, old map[string]string) (string, *Problem) {
	if !s.cfg.Rules.IsList(r.Type, op.name) {
		return "", problem(kerr.InvalidConfig, "Can't %s to key %s because its type is not LIST.", strings.ToUpper(op.op.String()), op.name)
	}
	value, ok := old[op.name]
	if !ok {
		value = s.cfg.Rules.Default(r.Type, op.name)
	}
	parts := slices.DeleteFunc(strings.Split(value, ","), func(p string) bool { return p == "" })
	for _, v := range strings.Split(*op.value, ",") {
		i := slices.Index(parts, v)
		switch {
		case op.op == kmsg.IncrementalAlterConfigOpAppend && i < 0:
			parts = append(parts, v)
		case op.op == kmsg.IncrementalAlterConfigOpSubtract && i >= 0:
			parts = slices.Delete(parts, i, i+1)
		}
	}
	return strings.Join(parts, ","), nil
}

// checkConfigs holds the overrides that a resource would have against the rules; changed are the new ones among them.
func (s *step) checkConfigs(r metadata.ConfigResource, all, changed map[string]string) *Problem {
	for _, value := range changed {
		if len(value) > maxConfigValue {
			return problem(kerr.InvalidConfig, "The configuration value cannot be added because it exceeds the maximum value size of %d bytes.", maxConfigValue)
		}
	}
	if err := s.cfg.Rules.Check(s.img, r, all, changed); err != nil {
		return refusal(err, kerr.InvalidConfig)
	}
	return nil
}

// refusal tells a rule's error to the user, under the error of the protocol that it wraps or under another.
func refusal(err error, code *kerr.Error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	errors.As(err, &code)
	return &Problem{Code: code, Message: err.Error()}
}

// checkMinISR keeps one min.insync.replicas in force on all nodes while eligible replicas are kept: see unifyMinISR.
func (s *step) checkMinISR(r metadata.ConfigResource, set map[string]string, gone []string) *Problem {
	_, changed := set[minISRKey]
	removed := slices.Contains(gone, minISRKey)
	switch {
	case r.Type != metadata.BrokerConfig || !s.keepsEligible():
		return nil
	case r.Name != "" && (changed || removed):
		return problem(kerr.InvalidConfig, "Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
	case r.Name == "" && removed:
		return problem(kerr.InvalidConfig, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
	}
	return nil
}

// addConfigs writes the overrides of one resource in the order of their names.
func (s *step) addConfigs(r metadata.ConfigResource, set map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		value := set[name]
		s.add(&metadata.ConfigRecord{Resource: r, Name: name, Value: &value})
	}
}
