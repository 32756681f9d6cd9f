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
		c: New(Config{
			DefaultPartitions:        func(*metadata.Image) int32 { return 2 },
			DefaultReplicationFactor: func(*metadata.Image) int16 { return 1 },
			Rules:                    testRules{},
			Features:                 map[string]int16{"group.version": 1, "metadata.version": 30},
		}),
		img: metadata.New("c1"),
		rnd: rand.New(rand.NewPCG(1, 2)),
	}
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
	case "cleanup.policy", "follower.list", "compression.type", "consumer.session.timeout.ms", "log.dirs":
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
	n, err := strconv.Atoi(img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: topic})["min.insync.replicas"])
	if err != nil {
		return 1
	}
	return n
}

func (testRules) Unclean(img *metadata.Image, topic string) bool {
	return img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: topic})["unclean.leader.election.enable"] == "true"
}

func (testRules) Flushes(img *metadata.Image, topic string) bool {
	return img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: topic})["durability"] != "os"
}

func (s *script) run(t *testing.T, lines []string) string {
	out := s.c.Step(time.Unix(0, 0), s.rnd, s.img, s.request(t, lines))
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
		return fmt.Sprintf("PartitionChange %s-%d leader=%d isr=%v", s.alias(r.Topic), r.Partition, r.Leader, r.ISR)
	case *metadata.ConfigRecord:
		if r.Value == nil {
			return fmt.Sprintf("Config %d %q %s removed", r.Resource.Type, r.Resource.Name, r.Name)
		}
		return fmt.Sprintf("Config %d %q %s=%s", r.Resource.Type, r.Resource.Name, r.Name, *r.Value)
	case *metadata.RegisterBrokerRecord:
		return fmt.Sprintf("RegisterBroker %d epoch=%d fenced=%v", r.Node, r.Epoch, r.Fenced)
	}
	return text
}
