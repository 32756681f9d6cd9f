// Command parity runs the command lines of a file through two programs and prints where what they print differs: Apache Kafka's
// tools and headrace's, or kcat and headrace's.
//
//	parity -cases FILE -deliberate FILE -theirs HOST:PORT -ours HOST:PORT -headrace PATH -work DIR [-only TEXT] [-v] COMMAND…
//
// COMMAND… starts ../../../java/Parity.java. Each side has a cluster of its own, fresh and of one node with id 1, so that the
// command lines leave the same behind. It exits with 1 when a difference is found that is not listed, or a listed one is not.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

type options struct {
	cases, deliberate  string
	theirs, ours       string
	headrace, work     string
	only               string
	verbose, capturing bool
}

func main() {
	var o options
	flag.StringVar(&o.cases, "cases", "", "file of command lines")
	flag.StringVar(&o.deliberate, "deliberate", "", "file of differences that are meant")
	flag.StringVar(&o.theirs, "theirs", "", "address of the cluster for the other programs")
	flag.StringVar(&o.ours, "ours", "", "address of the cluster for headrace")
	flag.StringVar(&o.headrace, "headrace", "", "the headrace binary")
	flag.StringVar(&o.work, "work", "", "a folder for files")
	flag.StringVar(&o.only, "only", "", "show command lines that contain this")
	flag.BoolVar(&o.verbose, "v", false, "print what both printed")
	flag.BoolVar(&o.capturing, "capture", false, "run only the other programs, and print what they print")
	flag.Parse()
	if err := run(o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
}

func run(o options, jvm []string) error {
	list, err := readMeant(o.deliberate)
	if err != nil {
		return err
	}
	cases, err := readCases(o.cases)
	if err != nil {
		return err
	}
	tools, err := startTools(jvm)
	if err != nil {
		return err
	}
	defer tools.close()
	them := &side{name: "theirs", address: o.theirs, dir: filepath.Join(o.work, "theirs"), tools: tools}
	us := &side{name: "ours", address: o.ours, dir: filepath.Join(o.work, "ours"), headrace: o.headrace}
	var theirs, ours []result
	var sides sync.WaitGroup
	sides.Go(func() { theirs = them.runAll(cases) })
	if !o.capturing {
		sides.Go(func() { ours = us.runAll(cases) })
	}
	sides.Wait()
	if o.capturing {
		for i, c := range cases {
			if strings.Contains(c.line, o.only) {
				fmt.Printf("%s\n%s", c.line, theirs[i])
			}
		}
		return nil
	}
	r := report{o: o, list: list}
	for i, c := range cases {
		r.compare(c, them.plain(c, theirs[i]), us.plain(c, ours[i]))
	}
	return r.conclude(cases, theirs, ours)
}

type report struct {
	o                  options
	list               []*meant
	others, deliberate int
}

func (r *report) compare(c testCase, theirs, ours result) {
	shown := strings.Contains(c.line, r.o.only)
	if shown && r.o.verbose {
		fmt.Printf("%s\n--- theirs\n%s--- ours\n%s", c.line, theirs, ours)
	}
	for _, d := range differ(theirs, ours) {
		if i := slices.IndexFunc(r.list, func(m *meant) bool { return m.re.MatchString(c.line + ": " + d) }); i >= 0 {
			r.list[i].seen = true
			r.deliberate++
			continue
		}
		r.others++
		if shown {
			fmt.Printf("%s: %s\n", c.line, d)
		}
	}
}

func (r *report) conclude(cases []testCase, theirs, ours []result) error {
	for _, m := range r.list {
		if !m.seen {
			r.others++
			fmt.Printf("listed as deliberate and not there: %s\n", m.re)
		}
	}
	runs := 0
	var times [2][]time.Duration
	for i, c := range cases {
		if c.program == "" {
			continue
		}
		runs++
		if c.program != "kcat" && !c.waits {
			times[0] = append(times[0], theirs[i].took)
			times[1] = append(times[1], ours[i].took)
		}
	}
	fmt.Printf("%d command lines, %d differences that are listed, %d others; a tool's run takes %v in the middle (in a JVM that is warm: %v)\n",
		runs, r.deliberate, r.others, median(times[1]), median(times[0]))
	if r.others > 0 {
		return fmt.Errorf("%d differences", r.others)
	}
	return nil
}

func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2].Round(time.Millisecond)
}

type meant struct {
	re   *regexp.Regexp
	seen bool
}

func readMeant(file string) ([]*meant, error) {
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
		expr, _, ok := strings.Cut(line, "\t")
		re, err := regexp.Compile(expr)
		if err != nil || !ok {
			return nil, fmt.Errorf("%s: %q: an expression, a tab, a reason: %v", file, line, err)
		}
		list = append(list, &meant{re: re})
	}
	return list, nil
}
