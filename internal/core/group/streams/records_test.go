package streams

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/machine"
)

var (
	fullMember = &Member{
		ID: "m", Instance: new("i"), Rack: new("r"), Client: "c", Host: "/h", RebalanceTimeout: 30 * time.Second, TopologyEpoch: 3,
		Process: "p", Endpoint: &Endpoint{"h", 50000}, Tags: []Pair{{"a", "1"}, {"b", "2"}}, Epoch: 5, Previous: 4, State: UnrevokedTasks,
		Assigned: Assignment{Active: {{"0", 0}: 5, {"0", 2}: 3}, Standby: {{"1", 1}: 0}},
		Revoking: Assignment{Active: {{"0", 1}: 2}, Warmup: {{"1", 2}: 0}},
	}
	fullTarget   = Assignment{Active: {{"0", 0}: 0, {"0", 2}: 0, {"1", 1}: 0}, Standby: {{"1", 0}: 0}, Warmup: {{"1", 3}: 0}}
	fullEpochs   = epochs{group: 7, hash: 0x1122334455667788, validated: 3, configs: []Pair{{"num.standby.replicas", "1"}}}
	fullTopology = (&Topology{Epoch: 3, Subtopologies: []Subtopology{{
		ID: "0", Sources: []string{"a", "b"}, SourceRegexes: []string{"x.*"}, Changelogs: []InternalTopic{{Name: "log", Configs: []Pair{{"k", "v"}}}},
		RepartitionSinks: []string{"s"}, RepartitionSources: []InternalTopic{{Name: "r", Partitions: 3, ReplicationFactor: 2}},
		Copartitioned: []Copartitioned{{Sources: []int16{0, 1}, RepartitionSources: []int16{0}}},
	}}}).finish()
)

// TestRecordsAreKafkas compares with what Apache Kafka 4.3.1 makes of the same fields.
func TestRecordsAreKafkas(t *testing.T) {
	for name, c := range map[string]struct {
		record    machine.Record
		key, want string
	}{
		"epoch": {epochRecord("g", fullEpochs), "0011000167",
			"000000000007112233445566778802000400000003011902156e756d2e7374616e6462792e7265706c69636173023100"},
		"epoch, not valid":      {epochRecord("g", epochs{group: 7, validated: -1}), "0011000167", "000000000007000000000000000000"},
		"target epoch":          {targetEpochRecord("g", epochs{target: 7, targetAt: 1_000_000}), "0014000167", "00000000000701000800000000000f4240"},
		"target epoch, no time": {targetEpochRecord("g", epochs{target: 7}), "0014000167", "00000000000700"},
		"target": {targetRecord("g", "m", fullTarget), "001500016700016d",
			"000003023003000000000000000200023102000000010002023102000000000002023102000000030000"},
		"member": {memberRecord("g", fullMember), "001300016700016d",
			"0000026902720263032f6800007530000000030270010268c35000030261023100026202320000"},
		"plain member": {memberRecord("g", &Member{ID: "m", RebalanceTimeout: -time.Millisecond, TopologyEpoch: -1}), "001300016700016d",
			"000000000101ffffffffffffffff01ff0100"},
		"assignment": {assignmentRecord("g", fullMember), "001600016700016d",
			"000000000005000000040202023003000000000000000201000903000000050000000302023102000000010001020230020000000101000502000000020102023102000000020000"},
		"topology": {topologyRecord("g", fullTopology), "0017000167",
			"00000000000302023003026102620204782e2a02046c6f6700000000000002026b02760000020273020272000000030002010002030000000101020000000000"},
	} {
		if got := hex.EncodeToString(c.record.Key); got != c.key {
			t.Errorf("%s: key %s, want %s", name, got, c.key)
		}
		if got := hex.EncodeToString(c.record.Value); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	g := NewGroup("g", &timeline.History{})
	for i, r := range []machine.Record{
		epochRecord("g", fullEpochs), targetEpochRecord("g", epochs{target: 6, targetAt: 1_000_000}), topologyRecord("g", fullTopology),
		memberRecord("g", fullMember), assignmentRecord("g", fullMember), targetRecord("g", "m", fullTarget),
	} {
		applyRecord(t, g, i, r)
	}
	if m := g.Member("m"); !m.describesAs(fullMember) || !m.assignedLike(fullMember) {
		t.Errorf("%+v comes back as %+v", fullMember, m)
	}
	if target, _ := g.target.Get("m"); !target.Equal(fullTarget) {
		t.Errorf("target %v", target)
	}
	if e := g.now(); e.group != 7 || e.target != 6 || e.hash != fullEpochs.hash || e.validated != 3 || e.targetAt != 1_000_000 {
		t.Errorf("epochs %+v", e)
	}
	if topology := g.currentTopology(); !topology.same(fullTopology) || topology.sourceOf["r"] != "0" {
		t.Errorf("topology %+v", topology)
	}
}

func applyRecord(t testing.TB, g *Group, off int, r machine.Record) {
	t.Helper()
	k := kbin.Reader{Src: r.Key}
	kind := k.Int16()
	_, name, err := ReadKey(kind, &k)
	if err == nil {
		err = g.Apply(kafka.Offset(off), kind, name, r.Value)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAssignmentsWithoutEpochsHaveTheMembers reads a record as brokers before 4.3 wrote it.
func TestAssignmentsWithoutEpochsHaveTheMembers(t *testing.T) {
	value, err := hex.DecodeString("0000" + "00000005" + "00000004" + "01" + "02" + "0230" + "0200000003" + "00" + "0101010101" + "00")
	if err != nil {
		t.Fatal(err)
	}
	g := NewGroup("g", &timeline.History{})
	if err := g.Apply(0, AssignmentKind, "m", value); err != nil {
		t.Fatal(err)
	}
	if m := g.Member("m"); m.Assigned[Active][Task{"0", 3}] != 5 {
		t.Errorf("assigned %v", m.Assigned)
	}
}

// FuzzApply gives a group values that nobody wrote: it refuses them or is the same when written again.
func FuzzApply(f *testing.F) {
	for _, r := range []machine.Record{
		epochRecord("g", fullEpochs), targetEpochRecord("g", epochs{target: 1}), memberRecord("g", fullMember),
		targetRecord("g", "m", fullTarget), assignmentRecord("g", fullMember), topologyRecord("g", fullTopology),
	} {
		f.Add(int16(r.Key[1]), r.Value)
	}
	f.Fuzz(func(t *testing.T, kind int16, value []byte) {
		g := NewGroup("g", &timeline.History{})
		if g.Apply(0, kind, "m", value) != nil {
			return
		}
		if m := g.Member("m"); m != nil && m.State != unknownState {
			applyRecord(t, g, 1, memberRecord("g", m))
			applyRecord(t, g, 2, assignmentRecord("g", m))
			if again := g.Member("m"); !again.assignedLike(m) || !again.describesAs(m) {
				t.Fatalf("%+v comes back as %+v", m, again)
			}
		}
		if topology := g.currentTopology(); topology != nil {
			applyRecord(t, g, 3, topologyRecord("g", topology))
			if again := g.currentTopology(); !again.same(topology) {
				t.Fatalf("%+v comes back as %+v", topology, again)
			}
		}
	})
}
