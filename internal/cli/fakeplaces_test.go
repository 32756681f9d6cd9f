package cli

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// places is a cluster that knows where partitions are: kfake with answers of its own for what kfake does not play, which is
// replicas, their moves, the metadata's voters, cordons and nodes that come and go. A move ends when it was listed looks times.
type places struct {
	*world
	kfake *kfake.Cluster
	looks int

	mu         sync.Mutex
	alive      []int32
	known      []int32 // registered
	partitions map[string]*place
	voters     []int32
	learners   []int32
	cordoned   map[string]string
	log        []string // what was changed, in order
	atOnce     int      // the most moves that were under way together
	listed     func()   // called when a move was listed; may be nil
	described  func()   // called before configs are described; may be nil
	// stops is how often nodes are still listed with the one that lost its vote last before it is gone; 0 for ever.
	stops int
	// durability is that of nodes; none for those that do not know the key.
	durability map[int32]string
	// supports is up to which level of metadata.version each node can run, below 0 for one that refuses to tell; level is the one in force.
	supports map[int32]int16
	level    int16
}

type place struct {
	topic    string
	number   int32
	leader   int32
	replicas []int32
	isr      []int32
	first    []int32 // the replicas in the beginning, which all nodes but the controller go on to tell
	target   []int32 // of a move; nil for none
	listed   int
}

// newPlaces makes a cluster of nodes 0, 1, … on racks, with partitions "a:0" and so on.
func newPlaces(t *testing.T, nodes int, partitions map[string][]int32) *places {
	c, err := kfake.NewCluster(kfake.NumBrokers(nodes))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := &places{world: &world{t: t, at: c.ListenAddrs()[0]}, kfake: c, looks: 1, partitions: map[string]*place{}, cordoned: map[string]string{}, voters: []int32{0}}
	for id := range int32(nodes) {
		p.alive, p.known = append(p.alive, id), append(p.known, id)
	}
	for name, replicas := range partitions {
		n, _ := strconv.Atoi(name[len(name)-1:])
		p.partitions[name] = &place{topic: name[:len(name)-2], number: int32(n), leader: replicas[0], replicas: replicas, isr: replicas, first: replicas}
	}
	for key, answer := range map[kmsg.Key]func(kmsg.Request) kmsg.Response{
		kmsg.ApiVersions: p.apiVersions, kmsg.Metadata: p.metadata, kmsg.AlterPartitionAssignments: p.alter, kmsg.ListPartitionReassignments: p.list,
		kmsg.ElectLeaders: p.elect, kmsg.DescribeQuorum: p.describeQuorum, kmsg.AddRaftVoter: p.addVoter, kmsg.RemoveRaftVoter: p.removeVoter,
		kmsg.UnregisterBroker: p.unregister, kmsg.IncrementalAlterConfigs: p.configs, kmsg.DescribeCluster: p.describeCluster, kmsg.DescribeConfigs: p.describeConfigs, kmsg.DescribeLogDirs: p.describeLogDirs,
		kmsg.UpdateFeatures: p.updateFeatures,
	} {
		c.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			p.mu.Lock()
			defer p.mu.Unlock()
			c.KeepControl()
			resp := answer(req)
			return resp, nil, resp != nil
		})
	}
	return p
}

func (p *places) note(format string, args ...any) {
	p.log = append(p.log, fmt.Sprintf(format, args...))
}

// noted gives what was changed since the last call.
func (p *places) noted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	log := p.log
	p.log = nil
	return log
}

func (p *places) sorted() []*place {
	return slices.SortedFunc(maps.Values(p.partitions), func(a, b *place) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.number, b.number))
	})
}

func (p *places) apiVersions(r kmsg.Request) kmsg.Response {
	// The library asks, too, at the start of a connection: a node that refused that would refuse everything.
	asked := r.(*kmsg.ApiVersionsRequest).ClientSoftwareName == "headrace"
	resp := r.ResponseKind().(*kmsg.ApiVersionsResponse)
	for k := kmsg.Key(0); k <= kmsg.MaxKey; k++ {
		if r := kmsg.RequestForKey(int16(k)); r != nil && k != 6 && k != 4 && k != 5 && k != 7 {
			a := kmsg.NewApiVersionsResponseApiKey()
			a.ApiKey, a.MaxVersion = int16(k), r.MaxVersion()
			resp.ApiKeys = append(resp.ApiKeys, a)
		}
	}
	if most, ok := p.supports[p.kfake.CurrentNode()]; ok && most < 0 && asked {
		resp.ErrorCode = kerr.InvalidRequest.Code
	} else if ok && most >= 0 {
		s := kmsg.NewApiVersionsResponseSupportedFeature()
		s.Name, s.MinVersion, s.MaxVersion = "metadata.version", 7, most
		resp.SupportedFeatures = append(resp.SupportedFeatures, s)
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MinVersionLevel, f.MaxVersionLevel = s.Name, p.level, p.level
		resp.FinalizedFeatures, resp.FinalizedFeaturesEpoch = append(resp.FinalizedFeatures, f), int64(p.level)
	}
	return resp
}

func (p *places) updateFeatures(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.UpdateFeaturesRequest)
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	for _, u := range req.FeatureUpdates {
		if u.MaxVersionLevel > slices.Min(slices.Collect(maps.Values(p.supports))) {
			why := "a node does not know it"
			resp.ErrorCode, resp.ErrorMessage = kerr.InvalidUpdateVersion.Code, &why
			return resp
		}
		p.note("%s %d type %d only asked %v", u.Feature, u.MaxVersionLevel, u.UpgradeType, req.ValidateOnly)
		if !req.ValidateOnly {
			p.level = u.MaxVersionLevel
		}
	}
	return resp
}

func (p *places) address(id int32) (string, int32) {
	host, port, _ := net.SplitHostPort(p.kfake.ListenAddrs()[id])
	n, _ := strconv.Atoi(port)
	return host, int32(n)
}

func (p *places) metadata(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.MetadataRequest)
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	if voteless, gone := p.lastVoteless(); gone && p.stops > 0 {
		if p.stops--; p.stops == 0 {
			p.alive = slices.DeleteFunc(p.alive, func(id int32) bool { return id == voteless })
		}
	}
	cluster := "places"
	resp.ClusterID, resp.ControllerID = &cluster, p.alive[0]
	for _, id := range p.alive {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID = id
		b.Host, b.Port = p.address(id)
		resp.Brokers = append(resp.Brokers, b)
	}
	if req.Topics != nil && len(req.Topics) == 0 {
		return resp
	}
	for _, one := range p.sorted() {
		if i := len(resp.Topics) - 1; i < 0 || *resp.Topics[i].Topic != one.topic {
			t := kmsg.NewMetadataResponseTopic()
			t.Topic, t.TopicID = &one.topic, [16]byte{1, one.topic[0]}
			resp.Topics = append(resp.Topics, t)
		}
		m := kmsg.NewMetadataResponseTopicPartition()
		m.Partition, m.Leader, m.Replicas, m.ISR = one.number, one.leader, one.replicas, one.isr
		if p.kfake.CurrentNode() != resp.ControllerID {
			m.Replicas = one.first
		}
		t := &resp.Topics[len(resp.Topics)-1]
		t.Partitions = append(t.Partitions, m)
	}
	return resp
}

// lastVoteless is the node whose vote was taken by the last change.
func (p *places) lastVoteless() (id int32, ok bool) {
	if len(p.log) == 0 {
		return 0, false
	}
	n, _ := fmt.Sscanf(p.log[len(p.log)-1], "no vote %d", &id)
	return id, n == 1
}

func (p *places) describeCluster(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.DescribeClusterRequest)
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	for _, id := range p.known {
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.IsFenced = id, !slices.Contains(p.alive, id)
		resp.Brokers = append(resp.Brokers, b)
	}
	return resp
}

func (p *places) alter(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.AlterPartitionAssignmentsRequest)
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = t.Topic
		for _, a := range t.Partitions {
			ra := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			ra.Partition = a.Partition
			one := p.partitions[fmt.Sprintf("%s:%d", t.Topic, a.Partition)]
			switch {
			case one == nil:
				ra.ErrorCode = kerr.UnknownTopicOrPartition.Code
			case a.Replicas == nil && one.target == nil:
				ra.ErrorCode = kerr.NoReassignmentInProgress.Code
			default:
				p.note("%s:%d > %v", t.Topic, a.Partition, a.Replicas)
				one.target, one.listed = a.Replicas, 0
			}
			rt.Partitions = append(rt.Partitions, ra)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	slices.Sort(p.log)
	return resp
}

func (p *places) list(r kmsg.Request) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	under := 0
	for _, one := range p.sorted() {
		if one.target == nil {
			continue
		}
		if one.listed++; one.listed > p.looks {
			one.replicas, one.isr, one.target = one.target, one.target, nil
			if !slices.Contains(one.replicas, one.leader) {
				one.leader = one.replicas[0]
			}
			continue
		}
		under++
		t, l := kmsg.NewListPartitionReassignmentsResponseTopic(), kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		t.Topic, l.Partition = one.topic, one.number
		l.RemovingReplicas = slices.DeleteFunc(slices.Clone(one.replicas), func(id int32) bool { return slices.Contains(one.target, id) })
		t.Partitions = append(t.Partitions, l)
		resp.Topics = append(resp.Topics, t)
	}
	if p.atOnce = max(p.atOnce, under); under > 0 && p.listed != nil {
		p.listed()
	}
	return resp
}

func (p *places) elect(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.ElectLeadersRequest)
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = t.Topic
		for _, n := range t.Partitions {
			rp := kmsg.NewElectLeadersResponseTopicPartition()
			rp.Partition = n
			one := p.partitions[fmt.Sprintf("%s:%d", t.Topic, n)]
			if one.leader == one.replicas[0] {
				rp.ErrorCode = kerr.ElectionNotNeeded.Code
			}
			one.leader = one.replicas[0]
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (p *places) describeQuorum(r kmsg.Request) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.DescribeQuorumResponse)
	q := kmsg.NewDescribeQuorumResponseTopicPartition()
	q.LeaderID, q.LeaderEpoch, q.HighWatermark = p.voters[0], 3, 100
	add := func(to *[]kmsg.DescribeQuorumResponseTopicPartitionReplicaState, ids []int32) {
		for _, id := range ids {
			s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
			s.ReplicaID, s.ReplicaDirectoryID, s.LogEndOffset, s.LastCaughtUpTimestamp = id, [16]byte{1, byte(id)}, 101-int64(id), 1e12-20_000*int64(id)
			*to = append(*to, s)
		}
	}
	add(&q.CurrentVoters, p.voters)
	add(&q.Observers, p.learners)
	t := kmsg.NewDescribeQuorumResponseTopic()
	t.Topic, t.Partitions = "__cluster_metadata", append(t.Partitions, q)
	resp.Topics = append(resp.Topics, t)
	return resp
}

func (p *places) addVoter(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.AddRaftVoterRequest)
	p.note("vote %d %d of %s", req.VoterID, req.VoterDirectoryID[1], *req.ClusterID)
	return req.ResponseKind()
}

func (p *places) removeVoter(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.RemoveRaftVoterRequest)
	resp := req.ResponseKind().(*kmsg.RemoveRaftVoterResponse)
	if len(p.voters) == 1 {
		words := "the last voter cannot be removed"
		resp.ErrorCode, resp.ErrorMessage = kerr.InvalidRequest.Code, &words
		return resp
	}
	p.voters = slices.DeleteFunc(p.voters, func(id int32) bool { return id == req.VoterID })
	p.note("no vote %d %d", req.VoterID, req.VoterDirectoryID[1])
	return resp
}

func (p *places) unregister(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.UnregisterBrokerRequest)
	p.known = slices.DeleteFunc(p.known, func(id int32) bool { return id == req.BrokerID })
	p.note("forget %d", req.BrokerID)
	return req.ResponseKind()
}

func (p *places) configs(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.IncrementalAlterConfigsRequest)
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for _, x := range req.Resources {
		for _, k := range x.Configs {
			delete(p.cordoned, x.ResourceName)
			if k.Value != nil {
				p.cordoned[x.ResourceName] = *k.Value
			}
			p.note("%s %s: %s", x.ResourceName, k.Name, k.Op)
		}
		rx := kmsg.NewIncrementalAlterConfigsResponseResource()
		rx.ResourceType, rx.ResourceName = x.ResourceType, x.ResourceName
		resp.Resources = append(resp.Resources, rx)
	}
	return resp
}

// describeConfigs tells of cordons, and leaves topics to kfake, which knows none of ours.
func (p *places) describeConfigs(r kmsg.Request) kmsg.Response {
	req := r.(*kmsg.DescribeConfigsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for _, x := range req.Resources {
		if p.described != nil {
			p.described()
		}
		rx := kmsg.NewDescribeConfigsResponseResource()
		rx.ResourceType, rx.ResourceName = x.ResourceType, x.ResourceName
		if value, ok := p.cordoned[x.ResourceName]; ok && x.ResourceType == kmsg.ConfigResourceTypeBroker {
			k := kmsg.NewDescribeConfigsResponseResourceConfig()
			k.Name, k.Value = "cordoned.log.dirs", &value
			rx.Configs = append(rx.Configs, k)
		}
		if value, ok := p.durability[p.kfake.CurrentNode()]; ok && x.ResourceType == kmsg.ConfigResourceTypeBroker {
			k := kmsg.NewDescribeConfigsResponseResourceConfig()
			k.Name, k.Value = "durability", &value
			rx.Configs = append(rx.Configs, k)
		}
		resp.Resources = append(resp.Resources, rx)
	}
	return resp
}

// describeLogDirs has every replica hold a MiB.
func (p *places) describeLogDirs(r kmsg.Request) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	d := kmsg.NewDescribeLogDirsResponseDir()
	d.Dir = "/data"
	for _, one := range p.sorted() {
		if !slices.Contains(one.replicas, p.kfake.CurrentNode()) {
			continue
		}
		if i := len(d.Topics) - 1; i < 0 || d.Topics[i].Topic != one.topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = one.topic
			d.Topics = append(d.Topics, t)
		}
		q := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		q.Partition, q.Size = one.number, 1<<20
		t := &d.Topics[len(d.Topics)-1]
		t.Partitions = append(t.Partitions, q)
	}
	resp.Dirs = append(resp.Dirs, d)
	return resp
}

func (p *places) replicas() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := ""
	for _, one := range p.sorted() {
		text += fmt.Sprintf("%s:%d %v ", one.topic, one.number, one.replicas)
	}
	return text
}
