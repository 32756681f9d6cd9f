package tidy

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestDocsNameFunctionsThatExist(t *testing.T) {
	var text []byte
	for _, page := range []string{"flows.md", "nonobvious.md"} {
		b, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b...)
	}
	functions := map[string]bool{}
	for _, p := range tree(t) {
		for path, f := range p.files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					functions[p.name()+"/"+filepath.Base(path)+":"+fn.Name.Name] = true
				}
			}
		}
	}
	steps := regexp.MustCompile("`([a-z0-9_/]+\\.go:[A-Za-z]+)`").FindAllStringSubmatch(string(text), -1)
	if len(steps) < 20 {
		t.Fatalf("docs/flows.md and nonobvious.md name %d functions: the pattern is broken", len(steps))
	}
	for _, s := range steps {
		if !functions[s[1]] {
			t.Errorf("docs: %s is not there", s[1])
		}
	}
}

func TestTheMapNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile("../../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tree(t) {
		if strings.HasPrefix(p.dir, "internal/") && !strings.Contains(string(text), "`"+p.name()+"`") {
			t.Errorf("docs/ARCHITECTURE.md does not name %s", p.name())
		}
	}
}
