package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
)

// editing is a text that a person changes in an editor.
type editing struct {
	name string // of the file, for people and for what editors make of it
	kind string
	head []string // lines of comment above the text, which are no part of it
	text string
}

// headMark begins every line of a head.
const headMark = "# crush:"

// edited is what a person made of a text. The file has it until discard.
type edited struct {
	text string
	file string
}

// discard removes the file.
func (e *edited) discard() {
	// What stays in the directory of temporary files does no harm.
	_ = os.RemoveAll(filepath.Dir(e.file))
}

// keep returns err with the place where the person's text is kept.
func (e *edited) keep(err error) error {
	// Without the head, lines are counted as the daemon counts them. If this
	// fails the file has the text, and the head.
	_ = os.WriteFile(e.file, []byte(e.text), 0o600)
	return &keptError{cause: err, file: e.file}
}

// keptError says where a text is that could not be written.
type keptError struct {
	cause error
	file  string
}

func (e *keptError) Error() string { return e.cause.Error() + "; what you wrote is kept in " + e.file }
func (e *keptError) Unwrap() error { return e.cause }

// runEditor lets the person change a text, and returns when the editor has
// ended. A text without a line end at its end has one in the file, as editors
// want it, and not in the result. If the editor fails and has changed the file
// before, the error says where it is.
func (p *program) runEditor(t editing) (*edited, error) {
	command, err := p.editor()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "crush-edit-")
	if err != nil {
		return nil, err
	}
	e := &edited{text: t.text, file: filepath.Join(dir, fileName(t.name, t.kind))}
	open := t.text != "" && !strings.HasSuffix(t.text, "\n")
	var file strings.Builder
	for _, line := range t.head {
		fmt.Fprintf(&file, "%s %s\n", headMark, escape(line))
	}
	file.WriteString(t.text)
	if open {
		file.WriteByte('\n')
	}
	if err := os.WriteFile(e.file, []byte(file.String()), 0o600); err != nil {
		e.discard()
		return nil, err
	}
	failed := p.execEditor(command, e.file)
	data, err := p.readFile(e.file)
	switch {
	case err != nil && failed == nil:
		return nil, err // too large, perhaps: it stays where it is
	case err == nil:
		e.text = withoutHead(string(data), len(t.head) > 0)
	}
	if open {
		e.text = strings.TrimSuffix(e.text, "\n")
	}
	if failed == nil {
		return e, nil
	}
	failed = &localError{verb: "run the editor " + command, cause: failed}
	if e.text != t.text {
		return nil, e.keep(failed)
	}
	e.discard()
	return nil, failed
}

// execEditor runs the editor as a shell would. What interrupts the editor does
// not interrupt this program: there is a text to keep.
func (p *program) execEditor(command, file string) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	cmd := exec.Command("sh", "-c", command+` "$@"`, command, file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin, p.stdout, p.stderr
	return cmd.Run()
}

// editor is the command of the person's editor.
func (p *program) editor() (string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if command, ok := p.environment(name); ok {
			return command, nil
		}
	}
	if in, ok := p.stdin.(*os.File); !ok || !isTerminal(in) || !isTerminal(p.stdout) {
		return "", usagef("there is no terminal for an editor: set VISUAL or EDITOR to one that needs none, or use --file")
	}
	return "vi", nil
}

func withoutHead(text string, has bool) string {
	for has && strings.HasPrefix(text, headMark) {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

// fileName is a name for a key's file, with the extension by which editors know
// the kind.
func fileName(key, kind string) string {
	const most = 64
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(shellSafe, r) && r != '/' {
			return r
		}
		return '_'
	}, path.Base(key))
	name = strings.TrimLeft(name[max(0, len(name)-most):], ".-")
	if name == "" {
		name = "value"
	}
	if isDocument(kind) && extensions[strings.ToLower(filepath.Ext(name))] != kind {
		name += "." + kind
	}
	return name
}

// afterEditing is the context of what follows an editor, which interrupts no
// longer end: the person has pressed the key in the editor.
func (p *program) afterEditing(ctx context.Context) (context.Context, context.CancelFunc) {
	return p.bounded(context.WithoutCancel(ctx))
}
