// Package scripts_test holds the product's Go code to the house rules: which package may import which, and the
// few rules of style that a program can judge. It reads source text only, so that it sees files behind build
// tags and files of other systems, and still judges the rest of a tree that does not compile at the moment.
package scripts_test

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// A tree is every Go file below a module's root, nested modules and testdata left out.
type tree struct {
	module string // path of the module, from go.mod
	fset   *token.FileSet
	files  []file
}

// A file is one Go file of a tree.
type file struct {
	name string // slash-separated, from the module's root
	ast  *ast.File
}

// dir returns the directory of the file's package, "." for the root.
func (f file) dir() string { return path.Dir(f.name) }

func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// isSupport reports whether dir holds a package that exists only for tests, such as dag/dagtest, crdt/oracle or
// daemon/simulation.
func isSupport(dir string) bool {
	base := path.Base(dir)
	return base == "oracle" || base == "simulation" || strings.HasSuffix(base, "test")
}

// product reads the tree that this test belongs to.
func product(t *testing.T) *tree {
	t.Helper()
	return read(t, os.DirFS(".."))
}

// read parses every Go file of fsys. A file that does not parse fails the test and is left out.
func read(t *testing.T, fsys fs.FS) *tree {
	t.Helper()
	tr := &tree{module: modulePath(t, fsys), fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return enter(fsys, name)
		case path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(tr.fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("parse: %v", err)
			return nil
		}
		tr.files = append(tr.files, file{name: name, ast: parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// enter returns fs.SkipDir for directories that ./... does not reach.
func enter(fsys fs.FS, name string) error {
	if name == "." {
		return nil
	}
	base := path.Base(name)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func modulePath(t *testing.T, fsys fs.FS) string {
	t.Helper()
	f, err := fsys.Open("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatal("go.mod: no module line")
	return ""
}

// imports returns the paths that f imports.
func (f file) imports() []string {
	paths := make([]string, 0, len(f.ast.Imports))
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic("scripts_test: the parser let through the import path " + spec.Path.Value)
		}
		paths = append(paths, p)
	}
	return paths
}

// at formats a fault at pos as file:line: text.
func (tr *tree) at(pos token.Pos, format string, args ...any) string {
	p := tr.fset.Position(pos)
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}
