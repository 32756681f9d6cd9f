//go:build linux

// Command faults breaks a cluster of three real nodes under load and judges what the clients were promised. ../../../faults/run builds
// what it needs and starts it; its README tells what is done.
//
// As root it starts itself again in namespaces of processes, network and mounts, so that all that a run makes ends with it, however
// it ends. Goroutines are those of the load and of the processes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/interop/go/cluster"
)

type options struct {
	product              string
	headrace, classPath  string
	join                 bool
	settings, topicLines lines
	time                 time.Duration
	count                int
	seed                 uint64
	faults               string
	rate                 int
	dir                  string
	diskSize             int64
	plain                bool
	failover             int
	failoverKinds        string
	rolling              int
	transactions         bool
	pace                 time.Duration
	older                string
	python, pythonClient string
	json                 string
	keep, list           bool
}

// lines is a flag that may be given again and again.
type lines []string

func (l *lines) String() string { return strings.Join(*l, " ") }

func (l *lines) Set(s string) error {
	if !strings.Contains(s, "=") {
		return errors.New("want key=value")
	}
	*l = append(*l, s)
	return nil
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("interop/faults/run", flag.ContinueOnError)
	f.StringVar(&o.product, "product", "headrace", "headrace or kafka")
	f.DurationVar(&o.time, "time", 5*time.Minute, "budget for the whole; no fault begins in its last quarter, or last two minutes")
	f.IntVar(&o.count, "count", 0, "so many faults at most (0: as many as there is time for)")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the schedule (0: a new one, which is printed)")
	f.StringVar(&o.faults, "faults", "all", "faults to make, separated by commas; -list names them")
	f.IntVar(&o.rate, "rate", 1000, "about how many records a second are sent")
	f.IntVar(&o.failover, "failover", 0, "instead of faults under load: so many failovers of each kind, timed")
	f.StringVar(&o.failoverKinds, "failover-kinds", strings.Join(failoverNames(), ","), "kinds of failover to time")
	f.IntVar(&o.rolling, "rolling", 0, "instead of faults: so many rounds in which each node is stopped and started, one after the other")
	f.BoolVar(&o.transactions, "transactions", false, "producers write in transactions, readers read what is committed, and copiers copy it in transactions")
	f.DurationVar(&o.pace, "pace", 2*time.Second, "with -rolling: how long all is well before the next node is stopped")
	f.StringVar(&o.older, "older", "", "headrace, instead of faults: an older binary, which the cluster is upgraded from; run takes a commit as well")
	f.BoolVar(&o.join, "join", false, "headrace: the second and third node join the first, instead of all knowing each other")
	f.Var(&o.settings, "set", "key=value for every node's config; again for more")
	f.Var(&o.topicLines, "topic", "key=value for the topic's config; again for more")
	f.StringVar(&o.dir, "dir", os.TempDir(), "folder for the nodes' data")
	f.Int64Var(&o.diskSize, "disk", 1<<30, "size of each node's file system in bytes")
	f.BoolVar(&o.plain, "plain", false, "no namespaces and no disks: kills and pauses alone; so it is without root, too")
	f.StringVar(&o.python, "python", "", "a Python with confluent-kafka, for a producer and a consumer on librdkafka; run sets it if it is given -librdkafka")
	f.StringVar(&o.pythonClient, "python-client", "", "the program that it runs; run sets it")
	f.StringVar(&o.json, "json", "", "file for the report as JSON")
	f.BoolVar(&o.keep, "keep", false, "leave the folder with data, configs and logs")
	f.BoolVar(&o.list, "list", false, "print the faults")
	f.StringVar(&o.headrace, "headrace", "", "the headrace binary; run sets it")
	f.StringVar(&o.classPath, "class-path", "", "class path that holds Apache Kafka; run sets it")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	if o.seed == 0 {
		o.seed = rand.Uint64() >> 32
	}
	if os.Geteuid() != 0 {
		o.plain = true
	}
	return o, o.validate()
}

func (o options) validate() error {
	if o.product != "headrace" && o.product != "kafka" {
		return fmt.Errorf("-product %s: there are headrace and kafka", o.product)
	}
	if o.time < time.Minute || o.time > 24*time.Hour {
		return errors.New("-time: from 1m to 24h")
	}
	if o.rate < 10 || o.rate > 50_000 {
		return errors.New("-rate: from 10 to 50000")
	}
	if o.transactions && (o.rolling > 0 || o.older != "" || o.failover > 0) {
		return errors.New("-transactions is for faults, and not for -rolling, -older and -failover")
	}
	if o.older != "" && o.product != "headrace" {
		return errors.New("-older is for headrace")
	}
	_, err := chooseFaults(o.faults, o.plain)
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run returns 0 for a run without anomalies, 1 for one with, and 2 where there was none.
func run(ctx context.Context, args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil && o.list {
		for _, f := range catalogue() {
			fmt.Printf("%-16s %s\n", f.name, f.what)
		}
		return 0
	}
	if err == nil && !o.plain && !isolated() {
		var code int
		if code, err = isolate(ctx, args, o.time+afterwards+time.Minute); err == nil {
			return code
		}
	}
	good := false
	if err == nil {
		good, err = o.perform(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults: "+err.Error())
		return 2
	}
	if !good {
		return 1
	}
	return 0
}

// afterwards bounds healing, reading back and comparing after the budget.
const afterwards = 5 * time.Minute

func (o options) perform(ctx context.Context) (good bool, err error) {
	interrupted := ctx
	ctx, cancel := context.WithTimeout(ctx, o.time+afterwards)
	defer cancel()
	if !o.plain {
		if err := settle(); err != nil {
			return false, fmt.Errorf("settle into the namespaces: %w", err)
		}
	}
	folder, err := os.MkdirTemp(o.dir, "headrace-faults.")
	if err != nil {
		return false, err
	}
	product := cluster.Headrace(o.headrace, o.join)
	if o.older != "" {
		product = cluster.Headrace(o.older, o.join)
	}
	if o.product == "kafka" {
		product = cluster.Kafka("java", o.classPath)
	}
	cfg := cluster.Config{Product: product, Folder: folder, Isolated: !o.plain, Settings: slices.Clone(o.settings)}
	if !o.plain {
		cfg.DiskSize = o.diskSize
	}
	c, err := cluster.New(cfg)
	defer func() {
		c.Close()
		if (good || interrupted.Err() != nil) && !o.keep {
			remove(c, folder)
		} else {
			fmt.Printf("configs and logs are in %s\n", folder)
		}
	}()
	if err != nil {
		return false, err
	}
	fmt.Printf("%s, seed %d\n", o.product, o.seed)
	switch {
	case o.failover > 0:
		return o.failovers(ctx, c)
	case o.older != "":
		return o.upgrade(ctx, c)
	case o.rolling > 0:
		return o.rollingRestarts(ctx, c)
	}
	return o.underFaults(ctx, c)
}
