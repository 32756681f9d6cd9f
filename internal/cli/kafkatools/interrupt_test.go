package kafkatools

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/term"
)

func TestCtrlCEndsAProducerThatNobodyTypesInto(t *testing.T) {
	c := newCluster(t)
	stdin, typing := io.Pipe()
	defer typing.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, errs strings.Builder
	code := make(chan int)
	go func() {
		e := term.Env{Stdin: stdin, Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
		code <- Run(ctx, "kafka-console-producer", []string{"--bootstrap-server", c.ListenAddrs()[0], "--topic", "orders", "--timeout", "1"}, e)
	}()
	if _, err := io.WriteString(typing, "whole\nhalf"); err != nil {
		t.Fatal(err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if got := reader.PollFetches(t.Context()).Records(); len(got) != 1 || string(got[0].Value) != "whole" {
		t.Fatalf("%v", got)
	}
	interrupt()
	if c := <-code; c != term.ExitInterrupted {
		t.Error(c, out.String(), errs.String())
	}
}

type brokenDisk struct{}

func (brokenDisk) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAnInputThatCannotBeReadFailsAProducer(t *testing.T) {
	c := newCluster(t)
	var out, errs strings.Builder
	e := term.Env{Stdin: io.MultiReader(strings.NewReader("a\nb"), brokenDisk{}), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	code := Run(t.Context(), "kafka-console-producer", []string{"--bootstrap-server", c.ListenAddrs()[0], "--topic", "orders"}, e)
	if code != 1 || errs.String() != "java.io.IOException: unexpected EOF\n" {
		t.Error(code, errs.String())
	}
}

// full takes so many bytes.
type full int

func (f *full) Write(b []byte) (int, error) {
	if *f -= full(len(b)); *f < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func TestAConsumerEndsWellWhenNobodyReadsItsOutput(t *testing.T) {
	c := newCluster(t)
	if code, _, errs := run(t, c, strings.Repeat(strings.Repeat("x", 1000)+"\n", 100), "kafka-console-producer", "--topic", "orders", "--timeout", "1"); code != 0 {
		t.Fatal(errs)
	}
	var errs strings.Builder
	room := full(20_000)
	e := term.Env{Stdin: strings.NewReader(""), Stdout: &room, Stderr: &errs, Getenv: func(string) string { return "" }}
	code := Run(t.Context(), "kafka-console-consumer", []string{"--bootstrap-server", c.ListenAddrs()[0], "--topic", "orders", "--from-beginning"}, e)
	if code != 0 || !strings.HasPrefix(errs.String(), "Unable to write to standard out, closing consumer.\nProcessed a total of ") {
		t.Error(code, errs.String())
	}
}
