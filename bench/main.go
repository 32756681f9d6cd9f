// Command headrace bench compares headrace with Apache Kafka on this machine, work by work, with the same client programs on both
// sides; ./run prepares what it needs and starts it. Runs go in pairs, one system after the other on the same disk. Its goroutines
// are those of the servers it runs, the samplers of their memory and the load of many connections; each ends with its work.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/bench/proc"
	"github.com/headrace/headrace/bench/side"
)

// options are the command line. The flags that ./run sets for itself are not in its help.
type options struct {
	pairs            int
	only             string
	quick, list      bool
	out, record, dir string
	classPath        string
	headrace, commit string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	sessions, err := choose(plan(), o.only)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range sessions {
			for _, w := range s.works {
				fmt.Printf("%-16s %s\n", w.name, w.how)
			}
		}
		return nil
	}
	return measure(ctx, o, sessions)
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench/run", flag.ContinueOnError)
	f.IntVar(&o.pairs, "pairs", 0, "runs of each system (3, or 1 with --quick)")
	f.StringVar(&o.only, "only", "", "works to do, separated by commas; --list names them")
	f.BoolVar(&o.quick, "quick", false, "short runs, to see that everything works")
	f.BoolVar(&o.list, "list", false, "print the works")
	f.StringVar(&o.out, "out", "", "file for the raw figures, as JSON (bench-TIME.json)")
	f.StringVar(&o.record, "record", "", "file whose table between the marks is to be replaced")
	f.StringVar(&o.dir, "dir", os.TempDir(), "folder for the data; on the disk that is to be measured")
	f.StringVar(&o.classPath, "class-path", "", "class path that holds Apache Kafka; run sets it")
	f.StringVar(&o.headrace, "headrace", "", "the headrace binary; run sets it")
	f.StringVar(&o.commit, "commit", "", "what the binary was built from; run sets it")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if o.pairs == 0 {
		o.pairs = 3
		if o.quick {
			o.pairs = 1
		}
	}
	if o.pairs < 1 {
		return o, fmt.Errorf("--pairs must be at least 1")
	}
	return o, nil
}

// choose leaves the works that only names, and the sessions that have any.
func choose(all []session, only string) ([]session, error) {
	if only == "" {
		return all, nil
	}
	var names []string
	wanted := strings.Split(only, ",")
	var chosen []session
	for _, s := range all {
		var works []work
		for _, w := range s.works {
			names = append(names, w.name)
			if slices.Contains(wanted, w.name) {
				works = append(works, w)
			}
		}
		if s.works = works; len(works) > 0 {
			chosen = append(chosen, s)
		}
	}
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return nil, fmt.Errorf("there is no work %q; there are %s", w, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}

// diskNeeded is what the largest work writes, with room for the other's deletion to be late.
func diskNeeded(s size) int64 { return 2*int64(s.FullRecords)*recordSize + 4<<30 }

func measure(ctx context.Context, o options, sessions []session) error {
	dir, err := os.MkdirTemp(o.dir, "headrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, pairs: o.pairs, sessions: sessions, size: fullSize()}
	if o.quick {
		b.size = shortSize()
	}
	free, err := proc.FreeDisk(dir)
	if err != nil {
		return err
	}
	if need := diskNeeded(b.size); free < need {
		return fmt.Errorf("%s has %.0f GB free, and %.0f GB are needed: name another folder with --dir", o.dir, megabytes(free)/1e3, megabytes(need)/1e3)
	}
	if err := b.describe(o); err != nil {
		return err
	}
	touched, err := proc.Touch(10 << 30)
	if err != nil {
		return fmt.Errorf("touch memory: %w", err)
	}
	progress("touched %.1f GB of memory", megabytes(touched)/1e3)
	b.all(ctx)
	return b.conclude(ctx, o)
}

// describe fills in what the report says of the machine and the systems, and makes the systems.
func (b *bench) describe(o options) error {
	binary, version, err := side.NewestJava()
	if err != nil {
		return err
	}
	java := side.Java{Binary: binary, ClassPath: o.classPath}
	b.systems = []side.System{side.NewKafka(java), side.NewHeadrace(o.headrace)}
	b.tools.Java, b.tools.Headrace, b.tools.Ran = java, o.headrace, b.ran
	b.report.Machine, err = proc.ThisMachine(b.dir)
	b.report.Java, b.report.Commit, b.report.Pairs, b.report.Size = version, o.commit, b.pairs, b.size
	b.report.Kafka = kafkaVersion(o.classPath)
	return err
}

// kafkaVersion reads the version from the name of the client's jar; the class path ends with a folder and a star.
func kafkaVersion(classPath string) string {
	parts := filepath.SplitList(classPath)
	if len(parts) == 0 {
		return "unknown"
	}
	jars, _ := filepath.Glob(filepath.Join(filepath.Dir(parts[len(parts)-1]), "kafka-clients-*.jar")) // the pattern is good
	if len(jars) != 1 {
		return "unknown"
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(jars[0]), "kafka-clients-"), ".jar")
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func syncDisks() { unix.Sync() }
