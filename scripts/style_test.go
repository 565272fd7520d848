package scripts_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	maxFunction = 60
	maxFile     = 800
)

// longFunctions are the functions that may pass maxFunction lines, as "file: Name" or "file: Type.Name", each with
// the reason, which is nearly always "one flat switch". An entry whose function is short again must go.
var longFunctions = map[string]string{}

// emptyNames say nothing about what a package or file is for.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "types", "shared"}

// clockReaders are the names of package time that look at the clock or wait for it.
var clockReaders = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

func TestStyle(t *testing.T) {
	for _, prefix := range []string{"", "bench/"} {
		fsys := os.DirFS("../" + prefix)
		if _, err := fs.Stat(fsys, "go.mod"); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, fault := range styleFaults(read(t, fsys), longFunctions) {
			t.Error(prefix + fault)
		}
	}
}

// styleFaults returns every breach of the rules that a program can judge, sorted.
func styleFaults(tr *tree, long map[string]string) []string {
	var faults []string
	for _, f := range tr.files {
		faults = append(faults, nameFaults(tr, f)...)
		faults = append(faults, lengthFaults(tr, f, long)...)
		faults = append(faults, sleepFaults(tr, f)...)
		if isPure(f) {
			faults = append(faults, pureImportFaults(tr, f)...)
			faults = append(faults, pureCodeFaults(tr, f)...)
		}
	}
	faults = append(faults, variableFaults(tr)...)
	slices.Sort(faults)
	return slices.Compact(faults)
}

// isPure reports whether f is production code of a package without goroutines, logger and clock.
func isPure(f file) bool {
	group := groupOf(f.dir())
	return (group == "crdt" || group == "dag") && !f.isTest() && !isSupport(f.dir())
}

func nameFaults(tr *tree, f file) []string {
	var faults []string
	stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.name), ".go"), "_test")
	for _, name := range []string{stem, path.Base(f.dir()), strings.TrimSuffix(f.ast.Name.Name, "_test")} {
		if slices.Contains(emptyNames, name) {
			faults = append(faults, tr.at(f.ast.Package, "the name %q says nothing: name it after what it does", name))
		}
	}
	return faults
}

func lengthFaults(tr *tree, f file, long map[string]string) []string {
	var faults []string
	if n := tr.fset.File(f.ast.Package).LineCount(); n > maxFile && !f.isTest() {
		faults = append(faults, tr.at(f.ast.Package, "the file has %d lines, at most %d: split it by noun", n, maxFile))
	}
	for _, decl := range f.ast.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		key := f.name + ": " + qualifiedName(fn)
		n := tr.lines(fn, f.isTest())
		switch reason, listed := long[key]; {
		case n > maxFunction && reason == "":
			faults = append(faults, tr.at(fn.Pos(),
				"%s has %d lines, at most %d: split it, or list %q with a reason in scripts/style_test.go",
				fn.Name.Name, n, maxFunction, key))
		case n <= maxFunction && listed:
			faults = append(faults, tr.at(fn.Pos(), "%q is short again: take it out of longFunctions", key))
		}
	}
	return faults
}

// qualifiedName returns Name for a function and Type.Name for a method.
func qualifiedName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	receiver := fn.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

// lines returns the number of lines of fn. In a test, the rows of a table are data and do not count.
func (tr *tree) lines(fn *ast.FuncDecl, test bool) int {
	n := tr.span(fn) + 1
	if !test || fn.Body == nil {
		return n
	}
	ast.Inspect(fn.Body, func(node ast.Node) bool {
		table, ok := node.(*ast.CompositeLit)
		if ok {
			n -= tr.span(table)
		}
		return !ok
	})
	return n
}

func (tr *tree) span(node ast.Node) int {
	return tr.fset.Position(node.End()).Line - tr.fset.Position(node.Pos()).Line
}

// sleepFaults finds tests that wait for the clock. In a file that uses testing/synctest the clock is the bubble's,
// and a sleep is how it is moved.
func sleepFaults(tr *tree, f file) []string {
	if !f.isTest() && !isSupport(f.dir()) || slices.Contains(f.imports(), "testing/synctest") {
		return nil
	}
	var faults []string
	for _, use := range f.usesOf("time", []string{"Sleep"}) {
		faults = append(faults, tr.at(use.Pos(), "time.Sleep in a test: use testing/synctest, or wait for the event"))
	}
	return faults
}

func pureImportFaults(tr *tree, f file) []string {
	barred := []string{"log", "log/slog"}
	if groupOf(f.dir()) == "crdt" {
		barred = append(barred, "context", "net", "net/http", "os", "os/exec", "io/ioutil", "syscall")
	}
	var faults []string
	for i, imported := range f.imports() {
		if slices.Contains(barred, imported) {
			faults = append(faults, tr.at(f.ast.Imports[i].Pos(), "%s must not import %s", groupOf(f.dir()), imported))
		}
	}
	return faults
}

func pureCodeFaults(tr *tree, f file) []string {
	group := groupOf(f.dir())
	var faults []string
	ast.Inspect(f.ast, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			faults = append(faults, tr.at(n.Pos(), "a go statement in %s: it starts no goroutine", group))
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" {
				faults = append(faults, tr.at(n.Pos(), "a call of Go in %s: it starts no goroutine", group))
			}
		}
		return true
	})
	for _, use := range f.usesOf("time", clockReaders) {
		faults = append(faults, tr.at(use.Pos(), "time.%s in %s: time is a parameter", use.Sel.Name, group))
	}
	return faults
}

// usesOf returns where f names one of the wanted things of the package with the given import path.
func (f file) usesOf(imported string, wanted []string) []*ast.SelectorExpr {
	local := ""
	for i, p := range f.imports() {
		if p == imported {
			local = path.Base(p)
			if name := f.ast.Imports[i].Name; name != nil {
				local = name.Name
			}
		}
	}
	if local == "" {
		return nil
	}
	var uses []*ast.SelectorExpr
	ast.Inspect(f.ast, func(node ast.Node) bool {
		if sel, ok := node.(*ast.SelectorExpr); ok && slices.Contains(wanted, sel.Sel.Name) {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
				uses = append(uses, sel)
			}
		}
		return true
	})
	return uses
}

// variableFaults finds package variables of the pure packages that some function changes. Types of other packages
// are unknown here, which leaves the names of the package itself resolved.
func variableFaults(tr *tree) []string {
	packages := map[string][]*ast.File{}
	for _, f := range tr.files {
		if isPure(f) {
			packages[f.dir()] = append(packages[f.dir()], f.ast)
		}
	}
	var faults []string
	for dir, files := range packages {
		info := types.Info{Uses: map[*ast.Ident]types.Object{}}
		config := types.Config{Importer: noImporter{}, Error: func(error) {}}
		pkg, _ := config.Check(dir, tr.fset, files, &info) // errors: every import is missing on purpose
		for _, f := range files {
			ast.Inspect(f, func(node ast.Node) bool {
				for _, target := range assigned(node) {
					id := root(target)
					if v, ok := info.Uses[id].(*types.Var); id != nil && ok && v.Parent() == pkg.Scope() {
						faults = append(faults, tr.at(id.Pos(), "the package variable %s changes", id.Name))
					}
				}
				return true
			})
		}
	}
	return faults
}

type noImporter struct{}

func (noImporter) Import(path string) (*types.Package, error) {
	return nil, fmt.Errorf("import %s: sources are judged alone", path)
}

// assigned returns the expressions that node stores to.
func assigned(node ast.Node) []ast.Expr {
	switch n := node.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && (f.Name == "delete" || f.Name == "clear") {
			return n.Args[:1]
		}
	}
	return nil
}

// root returns x of x, x.f, x[i], *x and (x), or nil.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}
