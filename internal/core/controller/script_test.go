package controller

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

var rewrite = flag.Bool("rewrite", false, "write what Step does into the scripts")

// TestScripts runs the scripts in testdata. A script is blocks of a command, "----" and what came of it: the reply, then
// the records, each on a line. Commands have a first line and may have indented lines, one a topic or resource. Every
// block's records are applied before the next one; topic ids are called T1, T2, … in the order of their making.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newScript()
	var out strings.Builder
	for i, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		if i > 0 {
			out.WriteString("\n")
		}
		command, want, _ := strings.Cut(block+"\n", "----\n")
		got := s.run(t, strings.Split(strings.TrimRight(command, "\n"), "\n"))
		fmt.Fprintf(&out, "%s----\n%s", command, got)
		if got != want && !*rewrite {
			t.Errorf("%s: %s\ngot:\n%s\nwant:\n%s", file, command, got, want)
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type script struct {
	c   *Controller
	img *metadata.Image
	rnd *rand.Rand
	ids []kafka.TopicID
}

func newScript() *script {
	return &script{
		c:   testController(map[string]int16{"group.version": 1, "metadata.version": 30}),
		img: metadata.New("c1"),
		rnd: rand.New(rand.NewPCG(1, 2)),
	}
}

func testController(features map[string]int16) *Controller {
	return New(Config{
		DefaultPartitions:        func(*metadata.Image) int32 { return 2 },
		DefaultReplicationFactor: func(*metadata.Image) int16 { return 1 },
		Rules:                    testRules{},
		Features:                 features,
	})
}

// testRules know four topic keys, one group key and two broker keys.
type testRules struct{}

func (testRules) Check(_ *metadata.Image, r metadata.ConfigResource, all, changed map[string]string) error {
	for _, name := range sortedKeys(changed) {
		if err := checkKey(name, changed[name]); err != nil {
			return err
		}
		if name == "log.dirs" && r.Type == metadata.BrokerConfig {
			return &Problem{Code: kerr.InvalidRequest, Message: "Cannot update these configs dynamically: Set(log.dirs)"}
		}
	}
	if all["follower.list"] != "" && all["compression.type"] == "none" {
		return fmt.Errorf("follower.list and compression.type=none exclude each other")
	}
	return nil
}

func checkKey(name, value string) error {
	switch name {
	case "cleanup.policy", "follower.list", "compression.type", "consumer.session.timeout.ms", "log.dirs", "unclean.leader.election.enable", "min.insync.replicas", "durability":
		return nil
	case "retention.ms", "log.cleaner.threads":
		if _, err := strconv.Atoi(value); err != nil {
			return fmt.Errorf("Invalid value %s for configuration %s: Not a number of type LONG", value, name)
		}
		return nil
	}
	return fmt.Errorf("Unknown topic config name: %s", name)
}

func (testRules) IsList(_ metadata.ConfigType, name string) bool {
	return name == "cleanup.policy" || name == "follower.list"
}

func (testRules) Default(_ metadata.ConfigType, name string) string {
	if name == "cleanup.policy" {
		return "delete"
	}
	return ""
}

func (testRules) Effective(_ *metadata.Image, overrides map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	var out []kmsg.CreateTopicsResponseTopicConfig
	for _, name := range sortedKeys(overrides) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value = name, kmsg.StringPtr(overrides[name])
		out = append(out, c)
	}
	return out
}

func (testRules) MinISR(img *metadata.Image, topic string) int {
	for _, of := range []metadata.ConfigResource{{Type: metadata.TopicConfig, Name: topic}, {Type: metadata.BrokerConfig}} {
		if text, ok := img.Config(of)[minISRKey]; ok {
			n, _ := strconv.Atoi(text)
			return n
		}
	}
	return 1
}

func (testRules) Unclean(img *metadata.Image, topic string) bool {
	return img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: topic})["unclean.leader.election.enable"] == "true"
}

func (testRules) Flushes(img *metadata.Image, topic string) bool {
	return img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: topic})["durability"] != "os"
}

// run gives a command to Step. A node that registers is unfenced at once, unless the command says "fenced".
func (s *script) run(t *testing.T, lines []string) string {
	text := s.step(s.request(t, lines))
	if first := parseWords(t, lines[0]); first.plain[0] == "register" && !first.has("fenced") && strings.HasPrefix(text, "registered") {
		text += s.step(s.heartbeatRequest(words{t: t, keyed: map[string]string{"id": first.keyed["id"]}}))
	}
	return text
}

func (s *script) step(req any) string {
	out := s.c.Step(time.Unix(0, 0), s.rnd, s.img, req)
	for _, r := range out.Records {
		if topic, ok := r.(*metadata.TopicRecord); ok {
			s.ids = append(s.ids, topic.ID)
		}
	}
	var b strings.Builder
	if out.Err != nil {
		var code *kerr.Error
		errors.As(out.Err, &code)
		fmt.Fprintf(&b, "error %s: %v\n", code.Message, strings.TrimPrefix(out.Err.Error(), code.Message+": "))
	} else {
		s.writeReply(&b, out.Reply)
	}
	for _, r := range out.Records {
		fmt.Fprintf(&b, "  %s\n", s.record(r))
	}
	if len(out.Records) > 0 {
		s.img, _ = s.img.Apply(out.Records, s.img.Offset()+kafka.Offset(len(out.Records)))
	}
	return b.String()
}

func (s *script) writeReply(b *strings.Builder, reply any) {
	line := func(name string, code int16, message *string, more string) {
		fmt.Fprintf(b, "%s: %s", name, codeName(code))
		if message != nil {
			fmt.Fprintf(b, ": %s", *message)
		}
		fmt.Fprintf(b, "%s\n", more)
	}
	switch r := reply.(type) {
	case *kmsg.CreateTopicsResponse:
		for _, topic := range r.Topics {
			more := ""
			if topic.ErrorCode == 0 {
				more = fmt.Sprintf(" partitions=%d factor=%d", topic.NumPartitions, topic.ReplicationFactor)
			}
			for _, c := range topic.Configs {
				more += fmt.Sprintf(" %s=%s", c.Name, *c.Value)
			}
			line(shorten(topic.Topic), topic.ErrorCode, topic.ErrorMessage, more)
		}
	case *kmsg.DeleteTopicsResponse:
		for _, topic := range r.Topics {
			name := "null"
			if topic.Topic != nil {
				name = *topic.Topic
			}
			line(name+" "+s.alias(topic.TopicID), topic.ErrorCode, topic.ErrorMessage, "")
		}
	case *kmsg.CreatePartitionsResponse:
		for _, topic := range r.Topics {
			line(topic.Topic, topic.ErrorCode, topic.ErrorMessage, "")
		}
	case *kmsg.IncrementalAlterConfigsResponse:
		for _, x := range r.Resources {
			line(fmt.Sprintf("%d %q", x.ResourceType, x.ResourceName), x.ErrorCode, x.ErrorMessage, "")
		}
	case *kmsg.AlterConfigsResponse:
		for _, x := range r.Resources {
			line(fmt.Sprintf("%d %q", x.ResourceType, x.ResourceName), x.ErrorCode, x.ErrorMessage, "")
		}
	case *kmsg.ElectLeadersResponse:
		if r.ErrorCode != 0 || len(r.Topics) == 0 {
			line("elect", r.ErrorCode, nil, "")
		}
		for _, topic := range r.Topics {
			for _, p := range topic.Partitions {
				line(fmt.Sprintf("%s-%d", topic.Topic, p.Partition), p.ErrorCode, p.ErrorMessage, "")
			}
		}
	case *kmsg.AlterPartitionResponse:
		if r.ErrorCode != 0 {
			line("isr", r.ErrorCode, nil, "")
		}
		for _, topic := range r.Topics {
			for _, p := range topic.Partitions {
				more := ""
				if p.ErrorCode == 0 {
					more = fmt.Sprintf(" leader=%d epoch=%d isr=%v recovery=%d partition-epoch=%d", p.LeaderID, p.LeaderEpoch, p.ISR, p.LeaderRecoveryState, p.PartitionEpoch)
				}
				line(fmt.Sprintf("%s-%d", s.alias(topic.TopidID), p.Partition), p.ErrorCode, nil, more)
			}
		}
	case *kmsg.BrokerRegistrationResponse:
		if r.ErrorCode == 0 {
			fmt.Fprintf(b, "registered epoch=%d\n", r.BrokerEpoch)
		} else {
			line("register", r.ErrorCode, nil, "")
		}
	case *kmsg.AssignReplicasToDirsResponse:
		if r.ErrorCode != 0 {
			line("assign", r.ErrorCode, nil, "")
		}
		for _, d := range r.Directories {
			for _, topic := range d.Topics {
				line(fmt.Sprintf("%s-%d in %d", s.alias(topic.TopicID), topic.Partitions[0].Partition, d.ID[15]), topic.Partitions[0].ErrorCode, nil, "")
			}
		}
	case *kmsg.BrokerHeartbeatResponse:
		line("heartbeat", r.ErrorCode, nil, fmt.Sprintf(" caught-up=%v fenced=%v shutdown=%v", r.IsCaughtUp, r.IsFenced, r.ShouldShutdown))
	case *kmsg.UnregisterBrokerResponse:
		line("unregister", r.ErrorCode, r.ErrorMessage, "")
	case *kmsg.AllocateProducerIDsResponse:
		line("producer ids", r.ErrorCode, nil, fmt.Sprintf(" first=%d count=%d", r.ProducerIDStart, r.ProducerIDLen))
	case *kmsg.UpdateFeaturesResponse:
		line("features", r.ErrorCode, r.ErrorMessage, "")
		for _, f := range r.Results {
			line(" "+f.Feature, f.ErrorCode, f.ErrorMessage, "")
		}
	case *kmsg.AlterPartitionAssignmentsResponse:
		if r.ErrorCode != 0 {
			line("all", r.ErrorCode, r.ErrorMessage, "")
		}
		for _, topic := range r.Topics {
			for _, x := range topic.Partitions {
				line(fmt.Sprintf("%s-%d", topic.Topic, x.Partition), x.ErrorCode, x.ErrorMessage, "")
			}
		}
	case *kmsg.ListPartitionReassignmentsResponse:
		for _, topic := range r.Topics {
			for _, x := range topic.Partitions {
				fmt.Fprintf(b, "%s-%d replicas=%v adding=%v removing=%v\n", topic.Topic, x.Partition, x.Replicas, x.AddingReplicas, x.RemovingReplicas)
			}
		}
		fmt.Fprintf(b, "%d listed\n", len(r.Topics))
	case AdoptedTopic:
		fmt.Fprintf(b, "adopted %s\n", s.alias(r.ID))
	default:
		fmt.Fprintf(b, "%T%+v\n", r, r)
	}
}

func shorten(name string) string {
	if len(name) > 60 {
		return name[:20] + "…"
	}
	return name
}

func codeName(code int16) string {
	if err := kerr.TypedErrorForCode(code); err != nil {
		return err.Message
	}
	return "OK"
}

func (s *script) alias(id kafka.TopicID) string {
	if id.IsZero() {
		return "-"
	}
	for i, known := range s.ids {
		if known == id {
			return "T" + strconv.Itoa(i+1)
		}
	}
	return id.String()
}

func (s *script) record(r metadata.Record) string {
	text := fmt.Sprintf("%T%+v", r, r)
	text = strings.TrimPrefix(strings.Replace(text, "&", "", 1), "*metadata.")
	switch r := r.(type) {
	case *metadata.TopicRecord:
		return fmt.Sprintf("Topic %s %s", r.Name, s.alias(r.ID))
	case *metadata.RemoveTopicRecord:
		return "RemoveTopic " + s.alias(r.ID)
	case *metadata.PartitionRecord:
		return fmt.Sprintf("Partition %s-%d leader=%d replicas=%v isr=%v", s.alias(r.Topic), r.Partition, r.Leader, r.Replicas, r.ISR)
	case *metadata.PartitionChangeRecord:
		return s.partitionChange(r)
	case *metadata.ConfigRecord:
		if r.Value == nil {
			return fmt.Sprintf("Config %d %q %s removed", r.Resource.Type, r.Resource.Name, r.Name)
		}
		return fmt.Sprintf("Config %d %q %s=%s", r.Resource.Type, r.Resource.Name, r.Name, *r.Value)
	case *metadata.BrokerRegistrationChangeRecord:
		if r.LogDirs != nil {
			return fmt.Sprintf("BrokerRegistrationChange %d dirs=%v", r.Node, dirNumbers(r.LogDirs))
		}
	case *metadata.RegisterBrokerRecord:
		if len(r.LogDirs) > 1 {
			return fmt.Sprintf("RegisterBroker %d epoch=%d fenced=%v dirs=%v", r.Node, r.Epoch, r.Fenced, dirNumbers(r.LogDirs))
		}
		return fmt.Sprintf("RegisterBroker %d epoch=%d fenced=%v", r.Node, r.Epoch, r.Fenced)
	}
	return text
}
