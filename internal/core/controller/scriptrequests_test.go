package controller

import (
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// words are the words of a line: flags, and keys with values.
type words struct {
	t     *testing.T
	plain []string
	keyed map[string]string
}

func parseWords(t *testing.T, line string) words {
	w := words{t: t, keyed: map[string]string{}}
	for _, word := range strings.Fields(line) {
		if k, v, ok := strings.Cut(word, "="); ok {
			w.keyed[k] = v
		} else {
			w.plain = append(w.plain, word)
		}
	}
	return w
}

func (w words) has(flag string) bool {
	for _, p := range w.plain {
		if p == flag {
			return true
		}
	}
	return false
}

func (w words) number(key string, otherwise int) int {
	v, ok := w.keyed[key]
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (s *script) request(t *testing.T, lines []string) any {
	first := parseWords(t, lines[0])
	switch first.plain[0] {
	case "create":
		return s.createRequest(t, first, lines[1:])
	case "delete":
		return s.deleteRequest(t, lines[1:])
	case "partitions":
		return s.partitionsRequest(t, first, lines[1:])
	case "reassign":
		return s.reassignRequest(t, first, lines[1:])
	case "reassignments":
		return s.reassignmentsRequest(t, first, lines[1:])
	case "alter":
		return s.alterRequest(t, first, lines[1:])
	case "replace":
		return s.replaceRequest(t, first, lines[1:])
	case "register":
		return s.registerRequest(first)
	case "heartbeat":
		return s.heartbeatRequest(first)
	case "assign":
		return s.assignRequest(first, lines[1:])
	case "fence", "unfence":
		return FenceNode{ID: kafka.NodeID(first.number("id", 0)), Epoch: s.epoch(first), Fenced: first.plain[0] == "fence"}
	case "unregister":
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = int32(first.number("id", 0))
		return req
	case "isr":
		return s.isrRequest(first, lines[1:])
	case "elect":
		return s.electRequest(t, first, lines[1:])
	case "balance":
		return BalanceLeaders{}
	case "elect-unclean":
		return ElectUnclean{}
	case "features":
		return s.featuresRequest(t, first, lines[1:])
	case "producer-ids":
		req := kmsg.NewPtrAllocateProducerIDsRequest()
		req.BrokerID, req.BrokerEpoch = int32(first.number("id", 0)), s.epoch(first)
		return req
	case "bootstrap":
		if first.has("eligible") {
			s.c = testController(map[string]int16{"metadata.version": 30, eligibleReplicas: 1})
		}
		return Bootstrap{}
	case "adopt":
		return AdoptTopic{
			Name: first.keyed["name"], ID: s.id(first.keyed["topicid"]), Partitions: int32(first.number("partitions", 1)),
			Node: kafka.NodeID(first.number("node", 0)), Configs: map[string]string{"retention.ms": "5"},
		}
	}
	t.Fatalf("command %q", lines[0])
	return nil
}

func (s *script) id(text string) kafka.TopicID {
	if n, err := strconv.Atoi(strings.TrimPrefix(text, "T")); err == nil && n <= len(s.ids) && text[0] == 'T' {
		return s.ids[n-1]
	}
	return kafka.TopicID{0: 0xee, 15: byte(len(text))}
}

// replicaLists reads "0,1/1,2": a list of replicas for each partition.
func replicaLists(t *testing.T, text string) [][]int32 {
	var out [][]int32
	for _, one := range strings.Split(text, "/") {
		var ids []int32
		for _, id := range strings.Split(one, ",") {
			if id == "" {
				continue
			}
			n, err := strconv.Atoi(id)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, int32(n))
		}
		out = append(out, ids)
	}
	return out
}

func (s *script) createRequest(t *testing.T, first words, lines []string) any {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.ValidateOnly = 7, first.has("validate")
	for _, line := range lines {
		w := parseWords(t, line)
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.NumPartitions, topic.ReplicationFactor = int32(w.number("partitions", -1)), int16(w.number("factor", -1))
		topic.Topic = w.plain[0]
		switch {
		case topic.Topic == `""`:
			topic.Topic = ""
		case w.keyed["long"] != "":
			topic.Topic = strings.Repeat("x", w.number("long", 0))
		}
		if text, ok := w.keyed["assign"]; ok {
			for i, ids := range replicaLists(t, text) {
				a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
				a.Partition, a.Replicas = int32(i*w.number("stride", 1)), ids
				topic.ReplicaAssignment = append(topic.ReplicaAssignment, a)
			}
		}
		for _, pair := range strings.Fields(strings.ReplaceAll(w.keyed["configs"], ";", " ")) {
			k, v, ok := strings.Cut(pair, ":")
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name = k
			if ok {
				c.Value = &v
			}
			topic.Configs = append(topic.Configs, c)
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func (s *script) deleteRequest(t *testing.T, lines []string) any {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	for _, line := range lines {
		w := parseWords(t, line)
		topic := kmsg.NewDeleteTopicsRequestTopic()
		if name, ok := w.keyed["name"]; ok {
			topic.Topic = &name
		}
		if id, ok := w.keyed["topicid"]; ok {
			topic.TopicID = s.id(id)
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func (s *script) partitionsRequest(t *testing.T, first words, lines []string) any {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.ValidateOnly = 3, first.has("validate")
	for _, line := range lines {
		w := parseWords(t, line)
		topic := kmsg.NewCreatePartitionsRequestTopic()
		topic.Topic, topic.Count = w.plain[0], int32(w.number("count", 0))
		if text, ok := w.keyed["assign"]; ok {
			for _, ids := range replicaLists(t, text) {
				a := kmsg.NewCreatePartitionsRequestTopicAssignment()
				a.Replicas = ids
				topic.Assignment = append(topic.Assignment, a)
			}
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// configOps reads "set:k:v", "append:k:v", "delete:k" and so on.
func configOps(w words) []configOp {
	var ops []configOp
	for _, word := range w.plain[2:] {
		parts := strings.SplitN(word, ":", 3)
		op := configOp{name: parts[1]}
		op.op, _ = kmsg.ParseIncrementalAlterConfigOp(strings.ToUpper(parts[0]))
		if parts[0] == "unknown" {
			op.op = 9
		}
		if len(parts) == 3 {
			op.value = &parts[2]
		}
		ops = append(ops, op)
	}
	return ops
}

func resourceName(text string) string { return strings.Trim(text, `"`) }

func (s *script) alterRequest(t *testing.T, first words, lines []string) any {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.ValidateOnly = 1, first.has("validate")
	for _, line := range lines {
		w := parseWords(t, line)
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		n, _ := strconv.Atoi(w.plain[0])
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceType(n), resourceName(w.plain[1])
		for _, op := range configOps(w) {
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Op, c.Value = op.name, op.op, op.value
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
	}
	return req
}

func (s *script) replaceRequest(t *testing.T, first words, lines []string) any {
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Version, req.ValidateOnly = 2, first.has("validate")
	for _, line := range lines {
		w := parseWords(t, line)
		r := kmsg.NewAlterConfigsRequestResource()
		n, _ := strconv.Atoi(w.plain[0])
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceType(n), resourceName(w.plain[1])
		for _, op := range configOps(w) {
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			c.Name, c.Value = op.name, op.value
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
	}
	return req
}
