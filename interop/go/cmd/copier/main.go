//go:build linux

// Command copier has Apache Kafka's own TransactionalMessageCopier copy a topic on a cluster of three real nodes, while nodes and
// copiers are killed: each record of the input must be in the output once, in its order. ../../../transactions/run builds what it
// needs and starts it. Goroutines are those that wait for processes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/headrace/headrace/interop/go/cluster"
	"github.com/headrace/headrace/interop/go/history"
)

type options struct {
	product, headrace, classPath string
	messages                     int
	seed                         uint64
	time                         time.Duration
	keep                         bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := 0
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "copier: "+err.Error())
		code = 1
	}
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) error {
	var o options
	f := flag.NewFlagSet("interop/transactions/run", flag.ContinueOnError)
	f.StringVar(&o.product, "product", "headrace", "headrace or kafka")
	f.IntVar(&o.messages, "messages", 20_000, "records in each of the input's partitions")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the kills (0: a new one, which is printed)")
	f.DurationVar(&o.time, "time", 5*time.Minute, "the copies must be there within this time")
	f.BoolVar(&o.keep, "keep", false, "leave the folder with data, configs and logs")
	f.StringVar(&o.headrace, "headrace", "", "the headrace binary; run sets it")
	f.StringVar(&o.classPath, "class-path", "", "class path that holds Apache Kafka's tools; run sets it")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is no flag", f.Arg(0))
	}
	if o.messages < 1 || o.messages > 10_000_000 {
		return errors.New("-messages: from 1 to 10000000")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64() >> 32
	}
	product := cluster.Headrace(o.headrace, false)
	switch o.product {
	case "headrace":
	case "kafka":
		product = cluster.Kafka("java", o.classPath)
	default:
		return fmt.Errorf("-product %s: there are headrace and kafka", o.product)
	}
	return o.perform(ctx, product)
}

func (o options) perform(ctx context.Context, product cluster.Product) (err error) {
	ctx, cancel := context.WithTimeout(ctx, o.time)
	defer cancel()
	folder, err := os.MkdirTemp("", "headrace-copier.")
	if err != nil {
		return err
	}
	c, err := cluster.New(cluster.Config{Product: product, Folder: folder})
	defer func() {
		c.Close()
		if err == nil && !o.keep {
			err = os.RemoveAll(folder)
		} else {
			fmt.Printf("configs and logs are in %s\n", folder)
		}
	}()
	if err != nil {
		return err
	}
	fmt.Printf("%s, seed %d\n", o.product, o.seed)
	s := &stage{cluster: c, begun: time.Now(), chance: rand.New(rand.NewPCG(o.seed, 1))}
	if err := s.open(ctx, o.messages); err != nil {
		return err
	}
	logs, err := os.Create(filepath.Join(folder, "copiers.log"))
	if err != nil {
		return err
	}
	defer logs.Close()
	for i := range copiers {
		s.copiers = append(s.copiers, &copier{id: i, classPath: o.classPath, brokers: c.Addresses(), log: logs})
	}
	defer s.killCopiers()
	if err := s.strike(ctx); err != nil {
		return err
	}
	output, err := s.read(ctx)
	if err != nil {
		return err
	}
	return s.judge(output)
}

// judge tells of what is wrong with the copies.
func (s *stage) judge(output map[int32][]history.Value) error {
	found := history.Copied(s.input, output)
	total := 0
	for _, values := range output {
		total += len(values)
	}
	for _, n := range s.cluster.Nodes {
		for _, line := range n.Cries() {
			found.Add("panic", line)
		}
	}
	fmt.Printf("%d copies in %.0f s; %d nodes and %d copiers were killed, %d copiers ended with an error\n",
		total, time.Since(s.begun).Seconds(), s.killedNodes, s.killedCopiers, s.failedCopiers)
	for _, a := range found.List() {
		fmt.Printf("ANOMALY: %s: %d\n", a.Kind, a.Count)
		for _, e := range a.Examples {
			fmt.Printf("    %s\n", e)
		}
	}
	if len(found) > 0 {
		return errors.New("the output is not the input")
	}
	fmt.Println("each record once, in order")
	return nil
}
