package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// TestRandomWalksKeepTheRules takes clusters through random registrations, heartbeats, crashes, stops, new disks, produced
// records, changes of in-sync replicas, elections, reassignments, configs and features. Every record is held against the
// rules of partitions, and every leader's log against what was acknowledged before it.
func TestRandomWalksKeepTheRules(t *testing.T) {
	seeds, steps := uint64(400), 300
	if testing.Short() {
		seeds = 80
	}
	for seed := range seeds {
		w := newWalk(t, seed)
		for w.at = 0; w.at < steps && !t.Failed(); w.at++ {
			w.one()
		}
		if t.Failed() {
			return
		}
	}
}

// walk is one cluster: its Image, and what a real one would have besides.
type walk struct {
	t    *testing.T
	seed uint64
	at   int
	rnd  *rand.Rand
	c    *Controller
	img  *metadata.Image
	node map[kafka.NodeID]*process
	part map[place]*held
	led  map[ledEpoch]kafka.NodeID
	log  []string // the requests, for a failure

	everOff bool // eligible replicas were not kept at some time
}

// process is one node's process and disk.
type process struct {
	alive       bool
	incarnation byte
	epoch       int64 // of its registration
	clean       int64 // in the mark of the last stop, -1 when it was none
	dir         byte
}

type place struct {
	topic     string
	partition int32
}

type ledEpoch struct {
	place
	epoch kafka.LeaderEpoch
}

// held is one partition's records: in each replica's log, and acknowledged.
type held struct {
	logs  map[kafka.NodeID][]int
	acked []int
	next  int
}

func newWalk(t *testing.T, seed uint64) *walk {
	rnd := rand.New(rand.NewPCG(seed, 1))
	features := map[string]int16{metadataVersion: 30, eligibleReplicas: int16(min(1, rnd.IntN(4)))}
	w := &walk{
		t: t, seed: seed, rnd: rnd, c: testController(features), img: metadata.New("c1"),
		node: map[kafka.NodeID]*process{}, part: map[place]*held{}, led: map[ledEpoch]kafka.NodeID{},
	}
	w.step(Bootstrap{})
	for id := range kafka.NodeID(3 + rnd.IntN(3)) {
		w.node[id] = &process{clean: -1, dir: byte(100 + id)}
		w.start(id)
		for n, _ := w.img.Node(id); n.Fenced; n, _ = w.img.Node(id) {
			w.beat(id, false)
		}
	}
	for i := range 1 + rnd.IntN(3) {
		w.create(fmt.Sprintf("t%d", i))
	}
	return w
}

func (w *walk) create(name string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 2, int16(1+w.rnd.IntN(3))
	for key, value := range map[string]string{
		minISRKey: strconv.Itoa(1 + w.rnd.IntN(3)), "durability": []string{"flush", "os"}[w.rnd.IntN(2)],
		"unclean.leader.election.enable": strconv.FormatBool(w.rnd.IntN(6) == 0),
	} {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = key, &value
		topic.Configs = append(topic.Configs, c)
	}
	req.Topics = append(req.Topics, topic)
	w.step(req)
}

// one does what chance says.
func (w *walk) one() {
	ids := sorted(w.node)
	id := ids[w.rnd.IntN(len(ids))]
	n := w.node[id]
	switch k := w.rnd.IntN(40); {
	case k < 10:
		w.produce()
	case k < 16:
		w.propose()
	case k < 20 && n.alive:
		w.beat(id, false)
	case k < 26 && !n.alive:
		w.start(id)
	case k < 28 && n.alive:
		w.crash(id)
	case k == 28 && n.alive:
		w.stop(id)
	case k == 29 && !n.alive && w.rnd.IntN(3) == 0:
		w.wipe(id)
	case k < 32:
		// A session ends of itself only where nobody is alive, but the controller cannot know: anybody may be fenced.
		if reg, ok := w.img.Node(id); ok && (!n.alive || w.rnd.IntN(4) == 0) {
			w.step(FenceNode{ID: id, Epoch: reg.Epoch, Fenced: true})
		}
	case k == 32:
		w.step(BalanceLeaders{})
	case k == 33:
		w.step(ElectUnclean{})
	case k == 34:
		w.elect()
	case k == 35:
		w.configure()
	case k == 36 && !n.alive && w.rnd.IntN(4) == 0:
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = int32(id)
		w.step(req)
	case k == 37 && w.rnd.IntN(8) == 0:
		w.feature()
	default:
		w.reassign()
	}
}

// start begins a new process on the node's disk, and registers it.
func (w *walk) start(id kafka.NodeID) {
	n := w.node[id]
	n.incarnation++
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version, req.BrokerID, req.ClusterID, req.PreviousBrokerEpoch = 4, int32(id), "c1", n.clean
	req.IncarnationID, req.LogDirs = [16]byte{n.incarnation, byte(id)}, [][16]byte{{15: n.dir}}
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "h", uint16(9092+id)
	req.Listeners = append(req.Listeners, l)
	req.Features = features(map[string]int{metadataVersion: 30, eligibleReplicas: 1})
	resp := w.step(req).(*kmsg.BrokerRegistrationResponse)
	if resp.ErrorCode != 0 {
		w.fail("registration of %d: %v", id, kerr.ErrorForCode(resp.ErrorCode))
	}
	n.alive, n.epoch, n.clean = true, resp.BrokerEpoch, -1
	if w.rnd.IntN(3) > 0 {
		w.beat(id, false)
	}
}

// beat sends a heartbeat, and tells whether the node may stop. One whose registration is gone registers anew.
func (w *walk) beat(id kafka.NodeID, shutdown bool) bool {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.BrokerID, req.BrokerEpoch, req.WantShutdown = int32(id), w.node[id].epoch, shutdown
	req.CurrentMetadataOffset = int64(w.img.Offset()) - int64(w.rnd.IntN(3))
	resp := w.step(req).(*kmsg.BrokerHeartbeatResponse)
	if resp.ErrorCode == kerr.StaleBrokerEpoch.Code {
		w.start(id)
	}
	return resp.ShouldShutdown
}

// crash ends a process. Of logs that are not flushed before they are acknowledged the end may be lost with the machine.
func (w *walk) crash(id kafka.NodeID) {
	w.note("crash %d", id)
	w.node[id].alive = false
	for _, at := range places(w.part) {
		h := w.part[at]
		log, safe := h.logs[id], 0
		if (testRules{}).Flushes(w.img, at.topic) {
			for safe < len(log) && safe < len(h.acked) && log[safe] == h.acked[safe] {
				safe++
			}
		}
		h.logs[id] = slices.Clone(log[:safe+w.rnd.IntN(len(log)-safe+1)])
	}
}

// stop is a controlled shutdown: everything is on the disk, and the mark says so.
func (w *walk) stop(id kafka.NodeID) {
	n := w.node[id]
	for range 3 {
		if w.beat(id, true) {
			n.alive, n.clean = false, n.epoch
			w.note("stopped %d", id)
			return
		}
	}
	if reg, _ := w.img.Node(id); !reg.Fenced && reg.InControlledShutdown {
		w.fail("node %d never gets to stop", id)
	}
}

// wipe replaces the node's disk by an empty one.
func (w *walk) wipe(id kafka.NodeID) {
	n := w.node[id]
	n.dir, n.clean = n.dir+7, -1
	w.note("wipe %d", id)
	for _, h := range w.part {
		delete(h.logs, id)
	}
}

// produce appends to the leader's log and, where they run, to those in sync. It is acknowledged when all in sync have it and
// they are enough.
func (w *walk) produce() {
	w.eachLed(func(at place, p *metadata.Partition, h *held) {
		if w.rnd.IntN(2) == 0 {
			return
		}
		everybody := true
		h.next++
		lead := append(slices.Clip(h.logs[p.Leader]), h.next)
		for _, id := range p.ISR {
			if !w.node[id].alive {
				everybody = false
				continue
			}
			h.logs[id] = lead
		}
		enough := len(p.ISR) >= min((testRules{}).MinISR(w.img, at.topic), len(p.Replicas))
		if everybody && enough {
			h.acked = lead
		}
	})
}

func (w *walk) eachLed(visit func(at place, p *metadata.Partition, h *held)) {
	for _, at := range places(w.part) {
		t, _ := w.img.Topic(at.topic)
		p := &t.Partitions[at.partition]
		if p.Leader == kafka.NoNode {
			continue
		}
		// The leader is the process of the registration: another one waits for its own to be settled.
		if n, reg := w.node[p.Leader], w.mustNode(p.Leader); n.alive && n.epoch == reg.Epoch {
			visit(at, p, w.part[at])
		}
	}
}

func (w *walk) mustNode(id kafka.NodeID) *metadata.Node {
	n, ok := w.img.Node(id)
	if !ok {
		w.fail("node %d leads and is not registered", id)
	}
	return n
}

// propose lets leaders drop replicas from the in-sync ones, and add those that have caught up.
func (w *walk) propose() {
	w.eachLed(func(at place, p *metadata.Partition, h *held) {
		isr := []kafka.NodeID{p.Leader}
		for _, id := range p.Replicas {
			switch {
			case id == p.Leader:
			case w.node[id].alive && w.rnd.IntN(3) > 0:
				h.logs[id] = h.logs[p.Leader] // it caught up
				isr = append(isr, id)
			case slices.Contains(p.ISR, id) && w.rnd.IntN(3) > 0:
				isr = append(isr, id)
			}
		}
		w.alter(at, p, isr)
	})
}

func (w *walk) alter(at place, p *metadata.Partition, isr []kafka.NodeID) {
	t, _ := w.img.Topic(at.topic)
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 3, int32(p.Leader), w.node[p.Leader].epoch
	topic, part := kmsg.NewAlterPartitionRequestTopic(), kmsg.NewAlterPartitionRequestTopicPartition()
	topic.TopicID, part.Partition = t.ID, at.partition
	part.LeaderEpoch, part.PartitionEpoch = int32(p.LeaderEpoch), p.PartitionEpoch
	for _, id := range isr {
		m := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
		m.BrokerID, m.BrokerEpoch = int32(id), w.node[id].epoch
		part.NewEpochISR = append(part.NewEpochISR, m)
	}
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp := w.step(req).(*kmsg.AlterPartitionResponse)
	if resp.ErrorCode != 0 {
		w.fail("in-sync replicas %v of %v: %v", isr, at, kerr.ErrorForCode(resp.ErrorCode))
		return
	}
	got := resp.Topics[0].Partitions[0]
	now, _ := w.img.Partition(kafka.TopicPartition{Topic: at.topic, Partition: at.partition})
	switch {
	case got.ErrorCode == kerr.IneligibleReplica.Code, got.ErrorCode == kerr.NewLeaderElected.Code:
	case got.ErrorCode != 0:
		w.fail("in-sync replicas %v of %v: %v", isr, at, kerr.ErrorForCode(got.ErrorCode))
	case got.PartitionEpoch != now.PartitionEpoch || kafka.LeaderEpoch(got.LeaderEpoch) != now.LeaderEpoch || !slices.Equal(toNodes(got.ISR), now.ISR):
		w.fail("the answer for %v is %+v, and it is %+v", at, got, now)
	}
}

func (w *walk) elect() {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.ElectionType = 2, int8(count(w.rnd.IntN(3) == 0))
	w.step(req)
}

// configure changes what a topic, or the cluster, asks for. Broker keys that must not differ are refused.
func (w *walk) configure() {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "t0"
	if w.rnd.IntN(4) == 0 {
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, ""
	}
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = minISRKey, kmsg.StringPtr(strconv.Itoa(1+w.rnd.IntN(3)))
	if w.rnd.IntN(4) == 0 {
		c.Op, c.Value = kmsg.IncrementalAlterConfigOpDelete, nil
	}
	if w.rnd.IntN(4) == 0 && r.ResourceName != "" {
		c.Op, c.Name, c.Value = kmsg.IncrementalAlterConfigOpSet, "unclean.leader.election.enable", kmsg.StringPtr(strconv.FormatBool(w.rnd.IntN(2) == 0))
	}
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	w.step(req)
}

func (w *walk) feature() {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	req.Version, u.Feature, u.MaxVersionLevel, u.UpgradeType = 2, eligibleReplicas, 1, upgrade
	if w.img.Features()[eligibleReplicas] > 0 {
		u.MaxVersionLevel, u.UpgradeType = 0, safeDowngrade
	}
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	w.step(req)
}

// reassign moves a partition to other nodes, or cancels that.
func (w *walk) reassign() {
	all := places(w.part)
	at := all[w.rnd.IntN(len(all))]
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.AllowReplicationFactorChange = true
	topic, part := kmsg.NewAlterPartitionAssignmentsRequestTopic(), kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	topic.Topic, part.Partition = at.topic, at.partition
	if w.rnd.IntN(3) > 0 {
		ids := sorted(w.node)
		w.rnd.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		part.Replicas = fromNodes(ids[:1+w.rnd.IntN(3)])
	}
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	w.step(req)
}

func (w *walk) note(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

func (w *walk) fail(format string, args ...any) {
	w.t.Helper()
	if !w.t.Failed() {
		for _, line := range w.log[max(0, len(w.log)-60):] {
			w.t.Log(line)
		}
	}
	w.t.Errorf("seed %d, step %d: %s", w.seed, w.at, fmt.Sprintf(format, args...))
}

func (w *walk) step(req any) any {
	out := w.c.Step(time.Unix(0, 0), w.rnd, w.img, req)
	if out.Err != nil {
		w.fail("%T: %v", req, out.Err)
		return nil
	}
	w.note("%s", w.describe(req))
	for _, r := range out.Records {
		w.note("    %s", w.describe(r))
	}
	was := w.img
	if len(out.Records) > 0 {
		w.img, _ = w.img.Apply(out.Records, w.img.Offset()+kafka.Offset(len(out.Records)))
	}
	w.check(was, req, out.Records)
	return out.Reply
}

// describe is short enough for the log of a failure.
func (w *walk) describe(v any) string {
	switch v := v.(type) {
	case *metadata.PartitionChangeRecord:
		t, _ := w.img.TopicByID(v.Topic)
		return strings.Replace((&script{}).partitionChange(v), v.Topic.String(), t.Name, 1)
	case *kmsg.BrokerRegistrationRequest:
		return fmt.Sprintf("register %d incarnation %d dir %d previous %d", v.BrokerID, v.IncarnationID[0], v.LogDirs[0][15], v.PreviousBrokerEpoch)
	case *kmsg.BrokerHeartbeatRequest:
		return fmt.Sprintf("heartbeat %d epoch %d shutdown=%v", v.BrokerID, v.BrokerEpoch, v.WantShutdown)
	case *metadata.RegisterBrokerRecord:
		return fmt.Sprintf("RegisterBroker %d epoch=%d", v.Node, v.Epoch)
	case *kmsg.AlterPartitionRequest:
		t, _ := w.img.TopicByID(v.Topics[0].TopicID)
		text := fmt.Sprintf("isr of %s-%d by %d:", t.Name, v.Topics[0].Partitions[0].Partition, v.BrokerID)
		for _, m := range v.Topics[0].Partitions[0].NewEpochISR {
			text += fmt.Sprintf(" %d@%d", m.BrokerID, m.BrokerEpoch)
		}
		return text
	case *kmsg.AlterPartitionAssignmentsRequest:
		p := v.Topics[0].Partitions[0]
		return fmt.Sprintf("reassign %s-%d to %v", v.Topics[0].Topic, p.Partition, p.Replicas)
	case *kmsg.IncrementalAlterConfigsRequest:
		c := v.Resources[0].Configs[0]
		return fmt.Sprintf("alter %q %v %s", v.Resources[0].ResourceName, c.Op, c.Name)
	}
	return fmt.Sprintf("%T%+v", v, v)
}
