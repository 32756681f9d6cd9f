package tidy

import (
	"bufio"
	"os"
	"path"
	"strings"
	"testing"
)

// rules is deps.txt: direct[c] are the packages named left of c; never are the forbidden pairs of patterns.
type rules struct {
	direct map[string][]string
	never  [][2]string
}

func readRules(t *testing.T) rules {
	t.Helper()
	f, err := os.Open("deps.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := rules{direct: map[string][]string{"NONE": nil}}
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if low, high, ok := strings.Cut(line, " !< "); ok {
			for _, h := range names(high) {
				for _, l := range names(low) {
					r.never = append(r.never, [2]string{l, h})
				}
			}
			continue
		}
		low, high, ok := strings.Cut(line, " < ")
		if !ok {
			t.Fatalf("deps.txt: %q is neither a < b nor a !< b", line)
		}
		for _, h := range names(high) {
			r.direct[h] = append(r.direct[h], names(low)...)
		}
	}
	return r
}

func names(list string) []string {
	var out []string
	for n := range strings.SplitSeq(list, ",") {
		out = append(out, strings.TrimSpace(n))
	}
	return out
}

// reach collects all that c may import.
func (r rules) reach(c string, into map[string]bool) {
	for _, l := range r.direct[c] {
		if !into[l] {
			into[l] = true
			r.reach(l, into)
		}
	}
}

func TestImportsFollowTheOrderOfTheHouse(t *testing.T) {
	r := readRules(t)
	for _, p := range tree(t) {
		if p.name() == "tidy" {
			continue
		}
		if _, ok := r.direct[p.name()]; !ok {
			t.Errorf("%s is not in deps.txt: give it a line", p.dir)
			continue
		}
		may := map[string]bool{}
		r.reach(p.name(), may)
		for _, i := range p.imports() {
			own, ok := strings.CutPrefix(i, module+"/")
			if !ok {
				continue
			}
			own = strings.TrimPrefix(own, "internal/")
			if !may[own] {
				t.Errorf("%s imports %s, which deps.txt does not allow", p.dir, own)
			}
			for _, n := range r.never {
				if matches(n[0], own) && matches(n[1], p.name()) {
					t.Errorf("%s imports %s: %s !< %s", p.dir, own, n[0], n[1])
				}
			}
		}
	}
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// The outside of each layer: standard packages and modules that it must not know.
func TestLayersKeepToTheirOutside(t *testing.T) {
	pure := []string{"os", "net", "net/", "sync", "sync/", "context", "syscall", "golang.org/x/sys/"}
	forbidden := map[string][]string{
		"core":    pure,
		"storage": {"net", "net/", "context", "syscall", "golang.org/x/sys/"},
		"base":    {"net/", "context", "github.com/twmb/franz-go/pkg/kgo"},
		"node":    {"github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kadm"},
	}
	for _, p := range tree(t) {
		for layer, outside := range forbidden {
			if !p.under(layer) {
				continue
			}
			for _, i := range p.imports() {
				for _, o := range outside {
					if i == o || strings.HasSuffix(o, "/") && strings.HasPrefix(i, o) {
						t.Errorf("%s imports %s: not in %s", p.dir, i, layer)
					}
				}
			}
		}
	}
}
