package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type result struct {
	code     int
	out, err string
	took     time.Duration
}

func (r result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  exit %d after %v\n", r.code, r.took.Round(time.Millisecond))
	for _, stream := range []struct{ mark, text string }{{"1", r.out}, {"2", r.err}} {
		for l := range strings.Lines(stream.text) {
			fmt.Fprintf(&b, "  %s|%s\n", stream.mark, strings.TrimSuffix(l, "\n"))
		}
	}
	return b.String()
}

// side is one of the two programs with its cluster.
type side struct {
	name, address, dir string
	headrace           string    // ours
	tools              *jvmTools // theirs
	members            map[string]*kgo.Client
}

// join makes a member of a group, and waits until it has its partitions.
func (s *side) join(group, topic, clientID string) error {
	joined := make(chan struct{}, 1)
	client, err := kgo.NewClient(kgo.SeedBrokers(s.address), kgo.ClientID(clientID), kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.Balancers(kgo.RangeBalancer()),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { joined <- struct{}{} }))
	if err != nil {
		return err
	}
	if s.members == nil {
		s.members = map[string]*kgo.Client{}
	}
	s.members[group] = client
	select {
	case <-joined:
		return nil
	case <-time.After(20 * time.Second):
		return errors.New("the member got no partitions")
	}
}

func (s *side) runAll(cases []testCase) []result {
	all := make([]result, len(cases))
	for i, c := range cases {
		all[i] = s.run(c)
	}
	return all
}

func (s *side) run(c testCase) result {
	var args []string
	fill := strings.NewReplacer("{b}", s.address, "{dir}", s.dir)
	for _, a := range c.args {
		if a == "$B" {
			args = append(args, "--bootstrap-server", s.address)
		} else {
			args = append(args, fill.Replace(a))
		}
	}
	began := time.Now()
	r, err := s.start(c, args, fill.Replace(c.stdin))
	if err != nil {
		r = result{code: -1, err: err.Error() + "\n"}
	}
	r.took = time.Since(began)
	return r
}

func (s *side) start(c testCase, args []string, stdin string) (result, error) {
	switch {
	case c.program == "join":
		return result{}, s.join(args[0], args[1], args[2])
	case c.program == "leave":
		s.members[args[0]].Close()
		return result{}, nil
	case c.program == "":
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return result{}, err
		}
		return result{}, os.WriteFile(filepath.Join(s.dir, args[0]), []byte(stdin), 0o644)
	case s.headrace != "":
		return process(s.headrace, append([]string{c.program}, args...), stdin)
	case c.program == "kcat":
		return process("kcat", args, stdin)
	}
	return s.tools.run(c.program, args, stdin)
}

func process(program string, args []string, stdin string) (result, error) {
	cmd := exec.Command(program, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.Env = append(os.Environ(), "HOME=/nonexistent") // no configuration files
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return result{}, err
	}
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errs.String()}, nil
}

// jvmTools is the process that runs Apache Kafka's tools.
type jvmTools struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

func startTools(command []string) (*jvmTools, error) {
	t := &jvmTools{cmd: exec.Command(command[0], command[1:]...)}
	var err error
	if t.stdin, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out = bufio.NewReader(out)
	t.cmd.Stderr = os.Stderr
	return t, t.cmd.Start()
}

func (t *jvmTools) close() {
	t.stdin.Close()
	_ = t.cmd.Wait() // its answers are all that counts
}

var classes = map[string]string{
	"kafka-topics":           "org.apache.kafka.tools.TopicCommand",
	"kafka-configs":          "kafka.admin.ConfigCommand",
	"kafka-consumer-groups":  "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
	"kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"kafka-get-offsets":      "org.apache.kafka.tools.GetOffsetShell",
}

func (t *jvmTools) run(program string, args []string, stdin string) (result, error) {
	encode := func(s string) string {
		if s == "" {
			return "-"
		}
		return base64.StdEncoding.EncodeToString([]byte(s))
	}
	words := []string{classes[program], encode(stdin)}
	for _, a := range args {
		words = append(words, encode(a))
	}
	if _, err := io.WriteString(t.stdin, strings.Join(words, " ")+"\n"); err != nil {
		return result{}, err
	}
	answer, err := t.out.ReadString('\n')
	if err != nil {
		return result{}, err
	}
	fields := strings.Fields(answer)
	if len(fields) != 4 {
		return result{}, fmt.Errorf("the answer is %q", answer)
	}
	code, err := strconv.Atoi(fields[0])
	if err != nil {
		return result{}, err
	}
	decode := func(s string) string {
		text, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "-"))
		return string(text)
	}
	return result{code: code, out: decode(fields[1]), err: decode(fields[2])}, nil
}
