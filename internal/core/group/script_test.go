package group

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group/consumer"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts of testdata print now into them")

// TestScripts runs testdata/*.txt. A script is blocks with blank lines between them: commands, a line of dashes, and what
// they print. A line that begins with # is a comment. Commands and their arguments are in (*world).run.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if got == string(text) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s prints something else (-rewrite takes it over):\n%s", file, firstDifference(string(text), got))
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(w), len(g))
}

func runScript(t *testing.T, text string) string {
	w := newWorld(1)
	var out strings.Builder
	for i, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			out.WriteString("\n")
		}
		commands := false
		for line := range strings.Lines(strings.Trim(block, "\n") + "\n") {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "----") {
				break
			}
			out.WriteString(line + "\n")
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			commands = true
			if err := w.run(strings.Fields(w.long(line))); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		if commands {
			out.WriteString("----\n" + w.out.String())
		}
		w.out.Reset()
	}
	return out.String()
}

// args are the name=value arguments of a command, and those without a name.
type args struct {
	named map[string]string
	plain []string
}

func parseArgs(fields []string) args {
	a := args{named: map[string]string{}}
	for _, f := range fields {
		if name, value, ok := strings.Cut(f, "="); ok && !strings.Contains(name, "-") {
			if old := a.named[name]; old != "" {
				value = old + " " + value
			}
			a.named[name] = value
		} else {
			a.plain = append(a.plain, f)
		}
	}
	return a
}

func (a args) text(name, otherwise string) string {
	if v, ok := a.named[name]; ok {
		return v
	}
	return otherwise
}

func (a args) number(name string, otherwise int) int {
	n, err := strconv.Atoi(a.text(name, strconv.Itoa(otherwise)))
	if err != nil {
		panic(err)
	}
	return n
}

func (a args) millis(name string, otherwise time.Duration) int32 {
	d, err := time.ParseDuration(a.text(name, otherwise.String()))
	if err != nil {
		panic(err)
	}
	return int32(d / time.Millisecond)
}

func (a args) instance() *string {
	if v, ok := a.named["inst"]; ok {
		return &v
	}
	return nil
}

// run runs one command. All take g= (the group, "g") and v= (the version, the newest) where they make sense.
//
//	join client [id=] [inst=] [proto=name:topic,topic ...] [type=] [session=] [rebalance=] [own=topic:p,p|none]
//	sync id gen [inst=] [assign=member:bytes|{topic:p,p} ...] [type=] [proto=|none]    beat id gen [inst=]    leave id|+instance ...
//	commit topic-partition=offset[:metadata] ... [id=] [gen=] [inst=] [retention=] [epoch=]
//	txn topic-partition=offset[:metadata] ... [id=] [gen=] [inst=] [of=producer] [pe=its epoch]    end commit|abort [of=producer]
//	fetch [all|topic-partition ...] [stable=1]                 forget topic-partition ...
//	hb id epoch [join=1] [topics=,] [regex=] [own=topic:p,p|none] [inst=] [rack=] [assignor=]    consumers group ...    grow topic
//	shb id epoch [topics=,] [rack=]    shares group ...    refuse [no]
//	st id epoch [top=0;in=t;out=r/1;re=r;log=c] [topepoch=] [own=0:1,2/1:0|none] [standby=] [proc=] [ep=port] [epepoch=] [shutdown=1]    streams group ...
//	describe group ...    list [states=] [types=]    delete group ...    gone topic ...
//	advance duration      hold    release    fail ERROR    reload    check
//	config [size=] [metadata=] [policy=bidirectional|upgrade|downgrade|disabled]
func (w *world) run(fields []string) error {
	a := parseArgs(fields[1:])
	if req := w.parseRequest(fields[0], a); req != nil {
		client := "admin"
		if fields[0] == "join" {
			client = a.plain[0]
		}
		req.SetVersion(int16(a.number("v", int(req.GetVersion()))))
		w.request(client, req)
		return nil
	}
	switch fields[0] {
	case "gone":
		var topics []DeletedTopic
		for _, name := range a.plain {
			topics = append(topics, DeletedTopic{Name: name, ID: topicID(a.text("id", ""))})
		}
		w.step(TopicsDeleted{Topics: topics})
	case "advance":
		d, err := time.ParseDuration(a.plain[0])
		if err != nil {
			return err
		}
		w.advance(d)
	case "end":
		w.mark(a.number("of", 7), a.plain[0] == "commit")
	case "grow":
		w.topics.grow(a.plain[0])
	case "refuse":
		w.refuses = len(a.plain) == 0
	case "hold":
		w.hold = true
	case "release":
		w.hold = false
		w.commit()
	case "fail":
		w.hold = false
		w.fail(kerr.CoordinatorNotAvailable)
	case "reload":
		w.reload()
	case "check":
		if live, loaded := w.dump(w.s), w.dump(w.replay()); live != loaded {
			w.printf("the log gives\n%sand not\n%s", loaded, strings.TrimRight(live, "\n"))
		} else {
			w.printf("%s", strings.TrimRight("the log gives the same:\n"+live, "\n"))
		}
	case "config":
		w.cfg.MaxSize = a.number("size", w.cfg.MaxSize)
		w.cfg.OffsetMetadataMax = a.number("metadata", w.cfg.OffsetMetadataMax)
		if policy, ok := a.named["policy"]; ok {
			of := DefaultConfig(nil).Consumer("")
			of.Upgrade, of.Downgrade = policy == "bidirectional" || policy == "upgrade", policy == "bidirectional" || policy == "downgrade"
			w.cfg.Consumer = func(string) consumer.Config { return of }
		}
		w.s.cfg = w.cfg
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

func topicID(s string) kafka.TopicID {
	var id kafka.TopicID
	copy(id[:], s)
	return id
}

func (w *world) parseRequest(command string, a args) kmsg.Request {
	group := a.text("g", "g")
	switch command {
	case "join":
		return parseJoin(group, a)
	case "sync":
		req := kmsg.NewPtrSyncGroupRequest()
		req.Version = 5
		req.Group, req.MemberID, req.InstanceID = group, a.plain[0], a.instance()
		gen, _ := strconv.Atoi(a.plain[1])
		req.Generation = int32(gen)
		if a.text("proto", "") != "none" {
			req.ProtocolType, req.Protocol = kmsg.StringPtr(a.text("type", consumerProtocol)), kmsg.StringPtr(a.text("proto", "range"))
		}
		for _, part := range strings.Fields(a.text("assign", "")) {
			member, data, _ := strings.Cut(part, ":")
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: member, MemberAssignment: assignmentOf(data)})
		}
		return req
	case "beat":
		req := kmsg.NewPtrHeartbeatRequest()
		req.Version = 4
		req.Group, req.MemberID, req.InstanceID = group, a.plain[0], a.instance()
		gen, _ := strconv.Atoi(a.plain[1])
		req.Generation = int32(gen)
		return req
	case "leave":
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Version = 5
		req.Group = group
		for _, who := range a.plain {
			m := kmsg.LeaveGroupRequestMember{MemberID: who, InstanceID: a.instance()}
			if instance, ok := strings.CutPrefix(who, "+"); ok {
				m = kmsg.LeaveGroupRequestMember{InstanceID: &instance}
			}
			req.Members = append(req.Members, m)
			req.MemberID = who
		}
		return req
	case "hb":
		return w.parseHeartbeat(group, a)
	case "st":
		return parseStreams(group, a)
	case "streams":
		req := kmsg.NewPtrStreamsGroupDescribeRequest()
		req.Groups = a.plain
		return req
	case "consumers":
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Version, req.Groups = 1, a.plain
		return req
	case "shb":
		return parseShareHeartbeat(group, a)
	case "shares":
		req := kmsg.NewPtrShareGroupDescribeRequest()
		req.Version, req.GroupIDs = 1, a.plain
		return req
	case "commit":
		return parseCommit(group, a)
	case "txn":
		return parseTxnCommit(group, a)
	case "fetch":
		return parseFetch(group, a)
	case "forget":
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		for _, p := range a.plain {
			tp := partitionOf(p)
			req.Topics = append(req.Topics, kmsg.OffsetDeleteRequestTopic{Topic: tp.Topic,
				Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: tp.Partition}}})
		}
		return req
	case "describe":
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Version, req.Groups = 6, a.plain
		return req
	case "list":
		req := kmsg.NewPtrListGroupsRequest()
		req.Version, req.StatesFilter, req.TypesFilter = 5, strings.Fields(a.text("states", "")), strings.Fields(a.text("types", ""))
		return req
	case "delete":
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Version, req.Groups = 2, a.plain
		return req
	}
	return nil
}

func partitionOf(s string) kafka.TopicPartition {
	tp, err := kafka.ParseTopicPartition(s)
	if err != nil {
		panic(err)
	}
	return tp
}

func parseJoin(group string, a args) kmsg.Request {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = 9
	req.Group, req.MemberID, req.InstanceID = group, a.text("id", ""), a.instance()
	req.SessionTimeoutMillis = a.millis("session", 10*time.Second)
	req.RebalanceTimeoutMillis = a.millis("rebalance", time.Minute)
	req.ProtocolType = a.text("type", consumerProtocol)
	for _, p := range strings.Fields(a.text("proto", "range:t")) {
		name, topics, _ := strings.Cut(p, ":")
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: name, Metadata: subscriptionOf(strings.Split(topics, ","), a)})
	}
	return req
}

// assignmentOf is the bytes as they are, or {topic:p,p} as an assignment of the consumer protocol.
func assignmentOf(data string) []byte {
	inner, ok := strings.CutPrefix(strings.TrimSuffix(data, "}"), "{")
	if !ok {
		return []byte(data)
	}
	m := kmsg.ConsumerMemberAssignment{Version: 1}
	if name, list, ok := strings.Cut(inner, ":"); ok {
		m.Topics = append(m.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: name, Partitions: numbers(list)})
	}
	return m.AppendTo(nil)
}

func subscription(topics []string) []byte {
	m := kmsg.ConsumerMemberMetadata{}
	m.Topics = topics
	return m.AppendTo(nil)
}

// subscriptionOf is version 1 where what the member has is given, as own=topic:p,p or own=none.
func subscriptionOf(topics []string, a args) []byte {
	own, ok := a.named["own"]
	if !ok {
		return subscription(topics)
	}
	m := kmsg.ConsumerMemberMetadata{Version: 1, Topics: topics, Generation: -1}
	for _, part := range strings.Fields(own) {
		if name, list, ok := strings.Cut(part, ":"); ok {
			m.OwnedPartitions = append(m.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: name, Partitions: numbers(list)})
		}
	}
	return m.AppendTo(nil)
}

func numbers(list string) (ns []int32) {
	for p := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(p)
		if err != nil {
			panic(err)
		}
		ns = append(ns, int32(n))
	}
	return ns
}

func parseCommit(group string, a args) kmsg.Request {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 9
	req.Group, req.MemberID, req.InstanceID = group, a.text("id", ""), a.instance()
	req.Generation = int32(a.number("gen", -1))
	if _, ok := a.named["retention"]; ok {
		req.RetentionTimeMillis = int64(a.millis("retention", 0))
	}
	for _, p := range a.plain {
		key, value, _ := strings.Cut(p, "=")
		number, metadata, _ := strings.Cut(value, ":")
		offset, _ := strconv.Atoi(number)
		tp := partitionOf(key)
		req.Topics = append(req.Topics, kmsg.OffsetCommitRequestTopic{Topic: tp.Topic, TopicID: topicID(a.text("topicid", "")),
			Partitions: []kmsg.OffsetCommitRequestTopicPartition{{
				Partition: tp.Partition, Offset: int64(offset), LeaderEpoch: int32(a.number("epoch", -1)), Metadata: &metadata,
			}}})
	}
	return req
}

func parseTxnCommit(group string, a args) kmsg.Request {
	commit := parseCommit(group, a).(*kmsg.OffsetCommitRequest)
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version = 5
	req.Group, req.MemberID, req.InstanceID, req.Generation = group, commit.MemberID, commit.InstanceID, commit.Generation
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = "x", int64(a.number("of", 7)), int16(a.number("pe", 0))
	for _, t := range commit.Topics {
		rt := kmsg.TxnOffsetCommitRequestTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			rt.Partitions = append(rt.Partitions, kmsg.TxnOffsetCommitRequestTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata,
			})
		}
		req.Topics = append(req.Topics, rt)
	}
	return req
}

func parseFetch(group string, a args) kmsg.Request {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version = 9
	req.RequireStable = a.named["stable"] != ""
	one := kmsg.NewOffsetFetchRequestGroup()
	if one.Group = group; a.named["id"] != "" {
		one.MemberID, one.MemberEpoch = kmsg.StringPtr(a.named["id"]), int32(a.number("epoch", -1))
	}
	if len(a.plain) == 0 || a.plain[0] != "all" {
		one.Topics, req.Topics = []kmsg.OffsetFetchRequestGroupTopic{}, []kmsg.OffsetFetchRequestTopic{}
		for _, p := range a.plain {
			tp := partitionOf(p)
			one.Topics = append(one.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: tp.Topic, TopicID: topicID(a.text("topicid", "")), Partitions: []int32{tp.Partition}})
			req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: tp.Topic, Partitions: []int32{tp.Partition}})
		}
	}
	req.Group, req.Groups = group, []kmsg.OffsetFetchRequestGroup{one}
	return req
}
