package group

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

var kafkaAddr = flag.String("kafka", "", "address of an Apache Kafka to run the scripts against, on its own clock: minutes")

// oracleOnly are commands that only our own machine understands: a script is compared up to the first of them.
var oracleOnly = []string{"hold", "reload", "config", "gone", "grow"}

// TestScriptsAgainstApacheKafka sends the requests of the scripts to Apache Kafka as well and compares the answers. It
// needs a broker without groups, started for instance with
//
//	interop/kafka-oracle.sh start 29392 DIR group.initial.rebalance.delay.ms=3000
func TestScriptsAgainstApacheKafka(t *testing.T) {
	if *kafkaAddr == "" {
		t.Skip("no -kafka")
	}
	admin := &kafkaSide{addr: *kafkaAddr, w: newWorld(1)}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 10_000
	for _, name := range []string{"t", "u", "v", "w", "x"} {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 3, 1
		create.Topics = append(create.Topics, topic)
	}
	if _, err := admin.call("admin", create); err != nil {
		t.Fatal(err)
	}
	about := kmsg.NewPtrMetadataRequest()
	about.Version = 12
	found, err := admin.call("admin", about)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]kafka.TopicID{}
	for _, topic := range found.(*kmsg.MetadataResponse).Topics {
		ids[deref(topic.Topic)] = topic.TopicID
	}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey = 3, "g" // makes the topic of offsets
	for range 20 {
		if _, err := admin.call("admin", find); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, script := range []string{"one_member", "two_members", "expiry_of_members", "static_members", "static_fencing", "joining", "offsets",
		"consumers", "consumers_refused", "consumers_offsets", "streams", "streams_topics", "streams_offsets",
		"migration_up", "migration_down", "migration_static", "migration_refused"} {
		t.Run(script, func(t *testing.T) {
			admin.removeGroups(t)
			text, err := os.ReadFile("testdata/" + script + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			compareWithKafka(t, string(text), ids)
		})
	}
}

func compareWithKafka(t *testing.T, text string, ids map[string]kafka.TopicID) {
	ours, theirs := newWorld(1), &kafkaSide{addr: *kafkaAddr, w: newWorld(1)}
	theirs.w.topics.id = ids
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		for line := range strings.Lines(commands + "\n") {
			line = strings.TrimSpace(line)
			fields := strings.Fields(line)
			if line == "" || line[0] == '#' || fields[0] == "check" {
				continue
			}
			if slices.Contains(oracleOnly, fields[0]) {
				return
			}
			if err := ours.run(strings.Fields(ours.long(line))); err != nil {
				t.Fatal(err)
			}
			theirs.run(strings.Fields(theirs.w.long(line)))
		}
		time.Sleep(100 * time.Millisecond)
		got, want := comparable(ours.out.String()), comparable(theirs.take())
		ours.out.Reset()
		if got != want {
			t.Errorf("%s\nApache Kafka answers\n%s\nand not\n%s", commands, want, got)
		}
	}
}

var bracketed = regexp.MustCompile(`(?: \[[^\]]*\])+`)

// comparable sorts answers by ticket and, within each, members, whose order Apache Kafka leaves to a hash map.
func comparable(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "#") {
			lines = append(lines, bracketed.ReplaceAllStringFunc(strings.TrimSpace(line), func(members string) string {
				all := strings.SplitAfter(members, "]")
				slices.Sort(all)
				return strings.Join(all, "")
			}))
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return ticketOf(a) - ticketOf(b) })
	return strings.Join(lines, "\n")
}

func ticketOf(line string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(strings.Fields(line)[0], "#"))
	return n
}

// kafkaSide sends each request to Apache Kafka on a connection of its own. w only parses and prints.
type kafkaSide struct {
	addr    string
	w       *world
	mu      sync.Mutex
	tickets int
	answers map[int]kmsg.Response
}

func (k *kafkaSide) run(fields []string) {
	a := parseArgs(fields[1:])
	if fields[0] == "advance" {
		d, _ := time.ParseDuration(a.plain[0])
		time.Sleep(d + 250*time.Millisecond)
		return
	}
	req := k.w.parseRequest(fields[0], a)
	req.SetVersion(int16(a.number("v", int(req.GetVersion()))))
	client := "admin"
	if fields[0] == "join" {
		client = a.plain[0]
	}
	k.tickets++
	ticket, answered := k.tickets, make(chan struct{})
	go func() {
		defer close(answered)
		resp, err := k.call(client, req)
		if err != nil {
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.answers == nil {
			k.answers = make(map[int]kmsg.Response)
		}
		k.answers[ticket] = resp
	}()
	select {
	case <-answered:
	case <-time.After(100 * time.Millisecond):
	}
}

func (k *kafkaSide) take() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for ticket := range k.tickets + 1 {
		if resp := k.answers[ticket]; resp != nil {
			fmt.Fprintf(&b, "#%d %s\n", ticket, strings.ReplaceAll(k.w.show(resp), "/127.0.0.1", "/host"))
		}
	}
	k.answers = nil
	return b.String()
}

func (k *kafkaSide) call(client string, req kmsg.Request) (kmsg.Response, error) {
	conn, err := net.Dial("tcp", k.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID(client)).AppendRequest(nil, req, 1)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		return nil, err
	}
	frame = frame[4:] // correlation id
	if req.IsFlexible() {
		frame = frame[1:] // no tags
	}
	resp := req.ResponseKind()
	return resp, resp.ReadFrom(frame)
}

// removeGroups waits until the members of the last script are gone and deletes what they leave.
func (k *kafkaSide) removeGroups(t *testing.T) {
	for range 40 {
		list := kmsg.NewPtrListGroupsRequest()
		list.Version = 5
		resp, err := k.call("admin", list)
		if err != nil {
			t.Fatal(err)
		}
		groups := resp.(*kmsg.ListGroupsResponse).Groups
		if len(groups) == 0 {
			return
		}
		remove := kmsg.NewPtrDeleteGroupsRequest()
		remove.Version = 2
		for _, g := range groups {
			remove.Groups = append(remove.Groups, g.Group)
		}
		if _, err := k.call("admin", remove); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
	t.Fatal("groups remain")
}
