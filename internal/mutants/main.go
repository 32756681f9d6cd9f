// Command mutants puts faults into our own rules, one after the other, and proves that a test or the simulator sees each:
//
//	go run ./internal/mutants
//	go run ./internal/mutants -only 'watermark' -v
//
// It works on a copy of the tree. The faults are in faults.txt: a name, the file, the text that goes and the one that comes,
// and the test that must fail. A fault that no test sees, that does not compile, or whose text is no longer there once, fails
// the command.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

//go:embed faults.txt
var faults string

func main() {
	only := flag.String("only", "", "put in the faults alone whose names match this regular expression")
	verbose := flag.Bool("v", false, "print what the tests said")
	limit := flag.Duration("limit", 5*time.Minute, "time that a test has; one that hangs has seen the fault too")
	flag.Parse()
	if err := run(*only, *verbose, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(only string, verbose bool, limit time.Duration) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	all, err := parse(faults)
	if err != nil {
		return err
	}
	tree, err := copyTree()
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	played, missed := 0, 0
	for _, f := range all {
		if !wanted.MatchString(f.name) {
			continue
		}
		played++
		start := time.Now()
		said, err := f.play(tree, limit)
		verdict := "seen"
		if err != nil {
			verdict = "MISSED: " + err.Error()
			missed++
		}
		fmt.Printf("%-60s %6.1fs  %s\n", f.name, time.Since(start).Seconds(), verdict)
		if verbose || err != nil {
			fmt.Printf("%s\n", said)
		}
	}
	fmt.Printf("%d faults, %d seen\n", played, played-missed)
	if missed > 0 || played == 0 {
		return fmt.Errorf("%d of %d faults were not seen", missed, played)
	}
	return nil
}
