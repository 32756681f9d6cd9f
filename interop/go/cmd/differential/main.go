// Command differential sends the same requests to Apache Kafka and to headrace and prints where the answers differ.
//
//	differential -kafka HOST:PORT -headrace HOST:PORT [-deliberate FILE] [-only NAME] [-v]
//
// Both are fresh clusters of one node with id 1. The file lists differences that are meant, a line each: a regular expression
// on "step: difference", then a tab, then the reason. It exits with 1 when another difference is found, or a listed one is not.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// step is one request. build makes it for a target; after looks at the answer.
type step struct {
	name    string
	version int16 // -1: the newest that both know
	build   func(t *target) kmsg.Request
	after   func(t *target, resp kmsg.Response)
}

type steps []step

func (s *steps) add(name string, build func(t *target) kmsg.Request) {
	*s = append(*s, step{name, -1, build, nil})
}

func (s *steps) addAt(name string, version int16, build func(t *target) kmsg.Request) {
	*s = append(*s, step{fmt.Sprintf("%s v%d", name, version), version, build, nil})
}

func (s *steps) addThen(name string, build func(t *target) kmsg.Request, after func(t *target, resp kmsg.Response)) {
	*s = append(*s, step{name, -1, build, after})
}

type meant struct {
	re     *regexp.Regexp
	reason string
	seen   bool
}

func main() {
	kafka := flag.String("kafka", "", "address of Apache Kafka")
	ours := flag.String("headrace", "", "address of headrace")
	file := flag.String("deliberate", "", "file of differences that are meant")
	only := flag.String("only", "", "show steps whose name contains this")
	verbose := flag.Bool("v", false, "print every answer of Kafka")
	flag.Parse()
	if err := run(*kafka, *ours, *file, *only, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
		os.Exit(1)
	}
}

func run(kafkaAddr, ourAddr, file, only string, verbose bool) error {
	list, err := readMeant(file)
	if err != nil {
		return err
	}
	a, err := dial("kafka", kafkaAddr)
	if err != nil {
		return err
	}
	b, err := dial("headrace", ourAddr)
	if err != nil {
		return err
	}
	for _, t := range []*target{a, b} {
		if err := t.awaitCoordinator(); err != nil {
			return err
		}
	}
	var all steps
	all.settle()
	all.topics()
	all.records()
	all.configs()
	all.groups()
	all.consumerGroups()
	all.markers()
	all.cluster()
	others, deliberate := 0, 0
	for _, s := range all {
		found := s.run(a, b, verbose && strings.Contains(s.name, only))
		// Kafka's broker has what its controller answered a little later; headrace answers when it has.
		for range 40 {
			if !s.reads(a) || !slices.ContainsFunc(found, func(d string) bool { return find(list, s.name+": "+d) == nil }) {
				break
			}
			time.Sleep(250 * time.Millisecond)
			found = s.run(a, b, false)
		}
		for _, d := range found {
			if m := find(list, s.name+": "+d); m != nil {
				m.seen = true
				deliberate++
				continue
			}
			others++
			if strings.Contains(s.name, only) {
				fmt.Printf("%s: %s\n", s.name, d)
			}
		}
	}
	for _, m := range list {
		if !m.seen {
			others++
			fmt.Printf("listed as deliberate and not there: %s\n", m.re)
		}
	}
	fmt.Printf("%d requests, %d differences that are listed, %d others\n", len(all), deliberate, others)
	if others > 0 {
		return fmt.Errorf("%d differences", others)
	}
	return nil
}

func (s step) run(a, b *target, verbose bool) []string {
	answer := func(t *target) (kmsg.Response, string) {
		req := s.build(t)
		version := s.version
		if version < 0 {
			version = min(a.max[req.Key()], b.max[req.Key()], req.MaxVersion())
		}
		resp, err := t.ask(req, version)
		if err != nil {
			return nil, "no answer"
		}
		if s.after != nil {
			s.after(t, resp)
		}
		return resp, ""
	}
	// Both at once: some answers wait, and the time that passes between two requests counts.
	var y kmsg.Response
	var yerr string
	done := make(chan bool)
	go func() {
		defer close(done)
		y, yerr = answer(b)
	}()
	x, xerr := answer(a)
	<-done
	if x == nil || y == nil {
		if xerr != yerr {
			return []string{fmt.Sprintf("kafka %q, headrace %q", xerr, yerr)}
		}
		return nil
	}
	px, py := a.plain(reflect.ValueOf(x)), b.plain(reflect.ValueOf(y))
	onlyKafka, onlyOurs := onlyCommonConfigs(px, py)
	if verbose {
		fmt.Printf("%s: %s\n", s.name, text(px))
		if len(onlyKafka)+len(onlyOurs) > 0 {
			fmt.Printf("%s: only Kafka has %v, only headrace %v\n", s.name, onlyKafka, onlyOurs)
		}
	}
	return differ("", px, py)
}

func readMeant(file string) ([]*meant, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []*meant
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		expr, reason, ok := strings.Cut(line, "\t")
		re, err := regexp.Compile(expr)
		if err != nil || !ok {
			return nil, fmt.Errorf("%s: %q: an expression, a tab, a reason: %v", file, line, err)
		}
		list = append(list, &meant{re: re, reason: reason})
	}
	return list, nil
}

func find(list []*meant, line string) *meant {
	for _, m := range list {
		if m.re.MatchString(line) {
			return m
		}
	}
	return nil
}

// settle sets what Kafka 4 sets for a new cluster by itself, and waits for the group coordinators.
func (s *steps) settle() {
	s.add("settle", alter(false, res{kmsg.ConfigResourceTypeBroker, "", []op{{"min.insync.replicas", set, "1"}}}))
}

func (t *target) awaitCoordinator() error {
	for range 300 {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKey = "g"
		resp, err := t.ask(find, 3)
		if err != nil {
			return err
		}
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Groups = []string{"g", "h", "nope", "simple", "static", "fresh", "bad"}
		ready := resp.(*kmsg.FindCoordinatorResponse).ErrorCode == 0
		if resp, err = t.ask(describe, 4); err != nil {
			return err
		}
		for _, g := range resp.(*kmsg.DescribeGroupsResponse).Groups {
			ready = ready && g.ErrorCode == 0
		}
		init := kmsg.NewPtrInitProducerIDRequest() // the first one asks Kafka's controller for a block of ids
		init.TransactionTimeoutMillis, init.ProducerID, init.ProducerEpoch = 60000, -1, -1
		if resp, err = t.ask(init, 4); err != nil {
			return err
		}
		if ready && resp.(*kmsg.InitProducerIDResponse).ErrorCode == 0 {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%s: the group coordinator does not come", t.name)
}

// reads tells whether a step may be sent again.
func (s step) reads(t *target) bool {
	switch s.build(t).(type) {
	case *kmsg.MetadataRequest, *kmsg.DescribeConfigsRequest, *kmsg.DescribeTopicPartitionsRequest, *kmsg.DescribeLogDirsRequest,
		*kmsg.ListConfigResourcesRequest:
		return true
	}
	return false
}
