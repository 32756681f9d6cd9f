package kcat

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/term"
)

func TestCtrlCEndsAProducerThatNobodyTypesInto(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stdin, typing := io.Pipe()
	defer typing.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, errs strings.Builder
	code := make(chan int)
	go func() {
		e := term.Env{Stdin: stdin, Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
		code <- Run(ctx, []string{"-P", "-b", c.ListenAddrs()[0], "-t", "t"}, e)
	}()
	if _, err := io.WriteString(typing, "whole\nhalf"); err != nil {
		t.Fatal(err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if got := reader.PollFetches(t.Context()).Records(); len(got) != 1 || string(got[0].Value) != "whole" {
		t.Fatalf("%v", got)
	}
	interrupt()
	if c := <-code; c != 0 || errs.String() != "" {
		t.Error(c, out.String(), errs.String())
	}
}
