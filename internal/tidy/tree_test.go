package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

const module = "github.com/headrace/headrace"

// pkg is one folder of Go files, without its tests.
type pkg struct {
	dir   string // slash-separated, from the module's root
	fset  *token.FileSet
	files map[string]*ast.File
}

// name is the package as deps.txt names it.
func (p *pkg) name() string { return strings.TrimPrefix(p.dir, "internal/") }

// under tells whether the package lies in one of the layers.
func (p *pkg) under(layers ...string) bool {
	for _, l := range layers {
		if strings.HasPrefix(p.name(), l+"/") {
			return true
		}
	}
	return false
}

// tree parses every package of the main module; nested modules and testdata are not its business.
func tree(t *testing.T) []*pkg {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	byDir := map[string]*pkg{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(root, path, d)
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(rel)
		p := byDir[dir]
		if p == nil {
			p = &pkg{dir: dir, fset: token.NewFileSet(), files: map[string]*ast.File{}}
			byDir[dir] = p
		}
		f, err := parser.ParseFile(p.fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		p.files[path] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pkgs := make([]*pkg, 0, len(byDir))
	for _, p := range byDir {
		pkgs = append(pkgs, p)
	}
	sort.Slice(pkgs, func(i, j int) bool { return pkgs[i].dir < pkgs[j].dir })
	if len(pkgs) < 5 {
		t.Fatalf("found %d packages below %s: the walk is broken", len(pkgs), root)
	}
	return pkgs
}

func enter(root, path string, d fs.DirEntry) error {
	if path == root {
		return nil
	}
	if strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

// imports lists what the package imports, each once, sorted.
func (p *pkg) imports() []string {
	seen := map[string]bool{}
	for _, f := range p.files {
		for _, i := range f.Imports {
			seen[strings.Trim(i.Path.Value, `"`)] = true
		}
	}
	out := make([]string, 0, len(seen))
	for i := range seen {
		out = append(out, i)
	}
	sort.Strings(out)
	return out
}
