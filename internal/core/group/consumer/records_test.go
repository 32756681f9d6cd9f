package consumer

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/timeline"
	"github.com/headrace/headrace/internal/core/group/assign"
	"github.com/headrace/headrace/internal/core/machine"
)

var (
	topicOne = kafka.TopicID{0: 1, 15: 1}
	fullOne  = &Member{
		ID: "m", Instance: new("i"), Client: "c", Host: "/h", Topics: []string{"a", "b"}, Regex: "x.*",
		RebalanceTimeout: 30 * time.Second, Assignor: new("range"), Epoch: 5, Previous: 4, State: UnrevokedPartitions,
		Assigned: Owned{topicOne: {0: 5, 2: 3}}, Revoking: Owned{topicOne: {1: 2}},
	}
	classicOne = &Member{
		ID: "m", Rack: new("r"), Client: "c", Host: "/h", RebalanceTimeout: 30 * time.Second,
		Classic: &Classic{SessionTimeout: 45 * time.Second, Protocols: []Protocol{{"range", []byte{1, 2}}}},
	}
)

// TestRecordsAreKafkas compares with what Apache Kafka 4.3.1 makes of the same fields.
func TestRecordsAreKafkas(t *testing.T) {
	for name, c := range map[string]struct {
		record machine.Record
		want   string
	}{
		"epoch":          {epochRecord("g", epochs{group: 7, hash: 0x1122334455667788}), "0000000000070100081122334455667788"},
		"epoch, no hash": {epochRecord("g", epochs{group: 7}), "00000000000700"},
		"target epoch":   {targetEpochRecord("g", epochs{target: 7, targetAt: 1_000_000}), "00000000000701000800000000000f4240"},
		"member":         {memberRecord("g", fullOne), "00000269000263032f68030261026204782e2a000075300672616e676500"},
		"classic member": {memberRecord("g", classicOne), "00000002720263032f6801010000753000010011010000afc8020672616e67650301020000"},
		"target":         {targetRecord("g", "m", assign.Assignment{topicOne: {0, 2}}), "000002010000000000000000000000000000010300000000000000020000"},
		"assignment": {assignmentRecord("g", fullOne), "00000000000500000004010201000000000000000000000000000001030000000000000002" +
			"01000903000000050000000302010000000000000000000000000000010200000001010005020000000200"},
		"regex": {regexRecord("g", "x", &Regex{Topics: []string{"a", "b"}, Version: 9, At: 1_000_000}), "00000302610262000000000000000900000000000f424000"},
	} {
		if got := hex.EncodeToString(c.record.Value); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
	if got := hex.EncodeToString(tombstone(MemberKind, "g", "m").Key); got != "0005"+"000167"+"00016d" {
		t.Errorf("key %s", got)
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	for name, m := range map[string]*Member{"consumer": fullOne, "classic": classicOne} {
		g := NewGroup("g", &timeline.History{})
		for i, r := range []machine.Record{memberRecord("g", m), assignmentRecord("g", m), targetRecord("g", "m", assign.Assignment{topicOne: {0, 2}})} {
			applyRecord(t, g, i, r)
		}
		got := g.Member("m")
		again := memberRecord("g", got)
		if string(again.Value) != string(memberRecord("g", m).Value) || !got.assignedLike(m) {
			t.Errorf("%s: %+v comes back as %+v", name, m, got)
		}
		if target, _ := g.target.Get("m"); !target.Equal(assign.Assignment{topicOne: {0, 2}}) {
			t.Errorf("%s: target %v", name, target)
		}
	}
}

// TestAMemberOfApacheKafkaIsRead reads what a broker wrote for a console consumer: its classic metadata is there, as null.
func TestAMemberOfApacheKafkaIsRead(t *testing.T) {
	value, err := hex.DecodeString("0000000011636f6e736f6c652d636f6e73756d65720b2f3132372e302e302e3102027401000493e00001000100")
	if err != nil {
		t.Fatal(err)
	}
	g := NewGroup("g", &timeline.History{})
	if err := g.Apply(0, MemberKind, "m", value); err != nil {
		t.Fatal(err)
	}
	if m := g.Member("m"); m.Client != "console-consumer" || m.Classic != nil || len(m.Topics) != 1 || m.RebalanceTimeout != 5*time.Minute {
		t.Errorf("%+v", m)
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

// TestAssignmentsOfOlderBrokersHaveTheMembersEpoch reads a record without the epochs of partitions.
func TestAssignmentsOfOlderBrokersHaveTheMembersEpoch(t *testing.T) {
	value, err := hex.DecodeString("0000000000050000000400" + "02" + "01000000000000000000000000000001" + "0200000003" + "00" + "01" + "00")
	if err != nil {
		t.Fatal(err)
	}
	g := NewGroup("g", &timeline.History{})
	if err := g.Apply(0, AssignmentKind, "m", value); err != nil {
		t.Fatal(err)
	}
	if m := g.Member("m"); m.Assigned[topicOne][3] != 5 {
		t.Errorf("assigned %v", m.Assigned)
	}
}

// FuzzApply gives a group values that nobody wrote: it refuses them or is the same when written again.
func FuzzApply(f *testing.F) {
	for _, r := range []machine.Record{
		epochRecord("g", epochs{group: 1, hash: 2}), targetEpochRecord("g", epochs{target: 1}), memberRecord("g", fullOne), memberRecord("g", classicOne),
		targetRecord("g", "m", assign.Assignment{topicOne: {1}}), assignmentRecord("g", fullOne), regexRecord("g", "x", &Regex{Topics: []string{"a"}}),
	} {
		f.Add(int16(r.Key[1]), r.Value)
	}
	f.Fuzz(func(t *testing.T, kind int16, value []byte) {
		g := NewGroup("g", &timeline.History{})
		if g.Apply(0, kind, "m", value) != nil {
			return
		}
		if m := g.Member("m"); m != nil {
			applyRecord(t, g, 1, memberRecord("g", m))
			applyRecord(t, g, 2, assignmentRecord("g", m))
			if again := g.Member("m"); !again.assignedLike(m) {
				t.Fatalf("%+v comes back as %+v", m, again)
			}
		}
	})
}
