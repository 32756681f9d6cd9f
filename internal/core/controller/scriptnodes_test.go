package controller

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// epoch is the one that the command gives, or that which the node has.
func (s *script) epoch(w words) int64 {
	epoch := int64(w.number("epoch", -1))
	if n, ok := s.img.Node(kafka.NodeID(w.number("id", 0))); ok && epoch < 0 {
		epoch = n.Epoch
	}
	return epoch
}

// registerRequest reads "register id=1 incarnation=2 port=5 dirs=3,4 clean". A node has one directory of its own and is at a
// port of its own; clean tells that the incarnation before stopped in good order.
func (s *script) registerRequest(w words) any {
	id := w.number("id", 0)
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version, req.BrokerID, req.ClusterID = 4, int32(id), s.img.ClusterID()
	req.IncarnationID = [16]byte{byte(w.number("incarnation", 1))}
	if c, ok := w.keyed["cluster"]; ok {
		req.ClusterID = c
	}
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "h", uint16(w.number("port", 9092+id))
	req.Listeners = append(req.Listeners, l)
	if rack, ok := w.keyed["rack"]; ok {
		req.Rack = &rack
	}
	req.Features = features(map[string]int{"metadata.version": w.number("max", 30), "group.version": 1, eligibleReplicas: w.number("elr", 1)})
	dirs, ok := w.keyed["dirs"]
	if !ok {
		dirs = strconv.Itoa(100 + id)
	}
	req.LogDirs = dirIDs(dirs)
	if n, ok := s.img.Node(kafka.NodeID(id)); ok && w.has("clean") {
		req.PreviousBrokerEpoch = n.Epoch
	} else {
		req.PreviousBrokerEpoch = -1
	}
	return req
}

// dirIDs reads "101,102".
func dirIDs(list string) (ids [][16]byte) {
	for _, d := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		n, _ := strconv.Atoi(d)
		ids = append(ids, [16]byte{15: byte(n)})
	}
	return ids
}

func features(most map[string]int) []kmsg.BrokerRegistrationRequestFeature {
	var all []kmsg.BrokerRegistrationRequestFeature
	for _, name := range sortedKeys(most) {
		f := kmsg.NewBrokerRegistrationRequestFeature()
		f.Name, f.MaxSupportedVersion = name, int16(most[name])
		all = append(all, f)
	}
	return all
}

// heartbeatRequest reads "heartbeat id=1 offset=7 fence shutdown offline=101,102".
func (s *script) heartbeatRequest(w words) any {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 1, int32(w.number("id", 0)), s.epoch(w)
	req.CurrentMetadataOffset = int64(w.number("offset", int(s.img.Offset())))
	req.WantFence, req.WantShutdown = w.has("fence"), w.has("shutdown")
	req.OfflineLogDirs = dirIDs(w.keyed["offline"])
	return req
}

// assignRequest reads "assign id=1" and lines "T1-0 dir=101".
func (s *script) assignRequest(w words, lines []string) any {
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = int32(w.number("id", 0)), s.epoch(w)
	for _, line := range lines {
		l := parseWords(w.t, line)
		name, number, _ := strings.Cut(l.plain[0], "-")
		n, _ := strconv.Atoi(number)
		dir, topic := kmsg.NewAssignReplicasToDirsRequestDirectory(), kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
		dir.ID, topic.TopicID = dirIDs(l.keyed["dir"])[0], s.id(name)
		topic.Partitions = []kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{{Partition: int32(n)}}
		dir.Topics = append(dir.Topics, topic)
		req.Directories = append(req.Directories, dir)
	}
	return req
}

// isrRequest reads "isr id=1" and lines "T1-0 isr=1,2@5 epoch=0 partition-epoch=3 recovery=0": with the epochs that are, and
// the ISR without node epochs but where one is given.
func (s *script) isrRequest(w words, lines []string) any {
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 3, int32(w.number("id", 0)), s.epoch(w)
	for _, line := range lines {
		l := parseWords(w.t, line)
		name, number, _ := strings.Cut(l.plain[0], "-")
		n, _ := strconv.Atoi(number)
		topic, part := kmsg.NewAlterPartitionRequestTopic(), kmsg.NewAlterPartitionRequestTopicPartition()
		topic.TopicID, part.Partition = s.id(name), int32(n)
		now := metadata.Partition{}
		if t, ok := s.img.TopicByID(topic.TopicID); ok && n < len(t.Partitions) {
			now = t.Partitions[n]
		}
		part.LeaderEpoch = int32(l.number("epoch", int(now.LeaderEpoch)))
		part.PartitionEpoch = int32(l.number("partition-epoch", int(now.PartitionEpoch)))
		part.LeaderRecoveryState = int8(l.number("recovery", 0))
		for _, member := range strings.Split(l.keyed["isr"], ",") {
			if member == "" {
				continue
			}
			id, epoch, given := strings.Cut(member, "@")
			m := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
			n, _ := strconv.Atoi(id)
			if m.BrokerID = int32(n); given {
				m.BrokerEpoch, _ = strconv.ParseInt(epoch, 10, 64)
			}
			part.NewEpochISR = append(part.NewEpochISR, m)
		}
		topic.Partitions = append(topic.Partitions, part)
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// electRequest reads "elect preferred", "elect unclean" or "elect type=7", and lines "a partitions=0,1"; without lines it is
// for all partitions.
func (s *script) electRequest(t *testing.T, w words, lines []string) any {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.ElectionType = 2, int8(w.number("type", 0))
	if w.has("unclean") {
		req.ElectionType = 1
	}
	for _, line := range lines {
		l := parseWords(t, line)
		topic := kmsg.NewElectLeadersRequestTopic()
		topic.Topic, topic.Partitions = l.plain[0], replicaLists(t, l.keyed["partitions"])[0]
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// featuresRequest reads "features version=2 validate" and lines "name level=1 type=1 downgrade".
func (s *script) featuresRequest(t *testing.T, w words, lines []string) any {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.Version, req.ValidateOnly = int16(w.number("version", 2)), w.has("validate")
	for _, line := range lines {
		l := parseWords(t, line)
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel = l.plain[0], int16(l.number("level", 0))
		u.UpgradeType, u.AllowDowngrade = int8(l.number("type", 1)), l.has("downgrade")
		req.FeatureUpdates = append(req.FeatureUpdates, u)
	}
	return req
}

// partitionChange shows what the record changes.
func (s *script) partitionChange(r *metadata.PartitionChangeRecord) string {
	text := fmt.Sprintf("PartitionChange %s-%d", s.alias(r.Topic), r.Partition)
	if r.Leader != metadata.LeaderUnchanged {
		text += fmt.Sprintf(" leader=%d", r.Leader)
	}
	for _, f := range []struct {
		name string
		ids  []kafka.NodeID
	}{{"isr", r.ISR}, {"elr", r.ELR}, {"last-known", r.LastKnownELR}, {"replicas", r.Replicas}, {"adding", r.Adding}, {"removing", r.Removing}} {
		if f.ids != nil {
			text += fmt.Sprintf(" %s=%v", f.name, f.ids)
		}
	}
	if r.LeaderRecoveryState >= 0 {
		text += fmt.Sprintf(" recovery=%d", r.LeaderRecoveryState)
	}
	if r.Directories != nil {
		text += fmt.Sprintf(" dirs=%v", dirNumbers(r.Directories))
	}
	return text
}

func dirNumbers(ids []kafka.TopicID) (numbers []byte) {
	for _, id := range ids {
		numbers = append(numbers, id[15])
	}
	return numbers
}
