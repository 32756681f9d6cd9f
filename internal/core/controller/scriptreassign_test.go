package controller

import (
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// partitionOf reads "a-3".
func partitionOf(t *testing.T, word string) (topic string, partition int32) {
	at := strings.LastIndexByte(word, '-')
	n, err := strconv.Atoi(word[at+1:])
	if err != nil {
		t.Fatal(err)
	}
	return word[:at], int32(n)
}

// reassignRequest reads "reassign keep-factor" and lines "a-0 to=1,2", "a-0 cancel" and "a-0 to=" for nobody.
func (s *script) reassignRequest(t *testing.T, first words, lines []string) any {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Version, req.AllowReplicationFactorChange = 1, !first.has("keep-factor")
	for i := range first.number("many", 0) {
		lines = append(lines, "many-"+strconv.Itoa(i)+" cancel")
	}
	for _, line := range lines {
		w := parseWords(t, line)
		topic, part := kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		topic.Topic, part.Partition = partitionOf(t, w.plain[0])
		if to, ok := w.keyed["to"]; ok {
			part.Replicas = append([]int32{}, replicaLists(t, to)[0]...)
		}
		topic.Partitions = append(topic.Partitions, part)
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// reassignmentsRequest reads "reassignments" for all, and "reassignments some" with lines "a-0" for those.
func (s *script) reassignmentsRequest(t *testing.T, first words, lines []string) any {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	if first.has("some") {
		req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{}
	}
	for _, line := range lines {
		topic := kmsg.NewListPartitionReassignmentsRequestTopic()
		name, n := partitionOf(t, parseWords(t, line).plain[0])
		topic.Topic, topic.Partitions = name, []int32{n}
		req.Topics = append(req.Topics, topic)
	}
	return req
}
