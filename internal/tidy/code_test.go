package tidy

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
	"testing"
)

func TestEachPackageHasOneComment(t *testing.T) {
	for _, p := range tree(t) {
		var docs []string
		for name, f := range p.files {
			if f.Doc != nil {
				docs = append(docs, name)
				want := "Package " + f.Name.Name + " "
				if f.Name.Name == "main" {
					want = "Command " + path.Base(p.dir) + " "
				}
				if !strings.HasPrefix(f.Doc.Text(), want) {
					t.Errorf("%s: the package comment does not start with %q", name, want)
				}
			}
		}
		if len(docs) != 1 {
			t.Errorf("%s has %d package comments, want 1: %v", p.dir, len(docs), docs)
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	inspect(t, everywhere, func(p *pkg, n ast.Node, report func(string)) {
		if f, ok := n.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			report("init function: register nothing, build it where it is used")
		}
	})
}

// Package variables are constants that Go cannot spell: tables, sentinels, pools. Nothing may change them.
func TestPackageVariablesAreNeverChanged(t *testing.T) {
	for _, p := range tree(t) {
		vars := packageVars(p)
		for _, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				for _, target := range changed(n) {
					id := root(target)
					if id != nil && vars[id.Name] && !declaredLocally(f, id) {
						t.Errorf("%s: package variable %s is changed", p.fset.Position(n.Pos()), id.Name)
					}
				}
				return true
			})
		}
	}
}

func packageVars(p *pkg) map[string]bool {
	vars := map[string]bool{}
	for _, f := range p.files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					vars[n.Name] = n.Name != "_"
				}
			}
		}
	}
	return vars
}

// changed lists the expressions that the statement n assigns to, or takes the address of.
func changed(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	}
	return nil
}

// root is the identifier an expression such as x.y[i] starts from, or nil (a literal, a call).
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// declaredLocally tells whether the function around id declares a variable of that name (a parameter, a result, := or var),
// which then hides the package's.
func declaredLocally(f *ast.File, id *ast.Ident) bool {
	local := false
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || id.Pos() < fn.Pos() || id.Pos() > fn.End() {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				for _, name := range n.Names {
					local = local || name.Name == id.Name
				}
			case *ast.AssignStmt:
				if n.Tok == token.DEFINE {
					for _, l := range n.Lhs {
						v, ok := l.(*ast.Ident)
						local = local || ok && v.Name == id.Name
					}
				}
			case *ast.RangeStmt:
				for _, l := range []ast.Expr{n.Key, n.Value} {
					v, ok := l.(*ast.Ident)
					local = local || ok && v.Name == id.Name
				}
			case *ast.ValueSpec:
				for _, name := range n.Names {
					local = local || name.Name == id.Name
				}
			}
			return true
		})
	}
	return local
}

// Time and chance are arguments in the pure layers; goroutines start in node, app and the products.
func TestPureLayersHaveNoClockChanceOrGoroutines(t *testing.T) {
	clock := map[string]bool{"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true, "NewTimer": true, "NewTicker": true, "Tick": true, "Sleep": true}
	chance := map[string]bool{"New": true, "NewPCG": true, "NewChaCha8": true, "Rand": true, "Source": true, "PCG": true}
	pure := func(p *pkg) bool { return p.under("base", "core", "storage") }
	inspect(t, pure, func(p *pkg, n ast.Node, report func(string)) {
		switch n := n.(type) {
		case *ast.GoStmt:
			report("go statement")
		case *ast.ChanType:
			if p.under("core") {
				report("channel in core")
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				return
			}
			if x.Name == "time" && clock[n.Sel.Name] {
				report("time." + n.Sel.Name + ": take now as an argument")
			}
			if x.Name == "rand" && !chance[n.Sel.Name] {
				report("rand." + n.Sel.Name + ": take a *rand.Rand as an argument")
			}
		}
	})
}

// The log engine reaches the disk through vfs alone: of package os it may use the flag constants and error values.
func TestStorageReachesTheDiskThroughVFS(t *testing.T) {
	inspect(t, func(p *pkg) bool { return p.under("storage") }, func(p *pkg, n ast.Node, report func(string)) {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return
		}
		x, ok := s.X.(*ast.Ident)
		if ok && x.Name == "os" && !strings.HasPrefix(s.Sel.Name, "O_") && !strings.HasPrefix(s.Sel.Name, "Err") {
			report("os." + s.Sel.Name + ": go through base/vfs")
		}
	})
}

func everywhere(*pkg) bool { return true }

func inspect(t *testing.T, in func(*pkg) bool, visit func(p *pkg, n ast.Node, report func(string))) {
	t.Helper()
	for _, p := range tree(t) {
		if !in(p) {
			continue
		}
		for _, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				if n != nil {
					visit(p, n, func(what string) { t.Errorf("%s: %s", p.fset.Position(n.Pos()), what) })
				}
				return true
			})
		}
	}
}
