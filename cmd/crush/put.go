package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type putFlags struct {
	file, kind, path, message string
	base, ifMatch             string
	ifAbsent                  bool
}

func (p *program) putCommand() *cobra.Command {
	var f putFlags
	cmd := &cobra.Command{
		Use:   "put KEY VALUE | put KEY --file FILE",
		Short: "Write a value",
		Long: `Write a value: a new revision of KEY, also when the value is the old one. Of a
json or yaml the same bytes again write nothing. Other comments, another order or
spelling of the same fields are a revision, and in conflict with nothing.

VALUE is taken literally, without a newline. --file takes the bytes of a file;
--file - those of standard input. A value that starts with - goes behind --.

A key keeps its kind. A new one is of the kind that --type says, or a policy, or
the FILE's extension if that is .json, .yaml or .yml, else bytes. Writes of a json or yaml
that change different fields merge by themselves; one that does not parse is
refused with its line and column.

--path writes one place of a json or yaml, and nothing else: / and the name of a
member for each step down, in which ~1 stands for / and ~0 for ~; [ID] is an
element of a keyed list. VALUE is then in the notation of the key's kind; with
--type text it is a string as it stands.

--if-match and --if-absent decide on this node: two nodes that are apart can
both succeed, and the conflict then shows it.

--wait, which every verb that writes has, returns when that many other nodes, or
one in each zone, have said that it is on their disks. If they have not by the
end of --timeout, exit 10: the write is on this node's disk all the same, its
block and token are printed, and it goes to the others when they can be reached.`,
		Example: `  crush put app/port 8080
  crush put app/config --file config.yaml -m "raise the limits"
  date | crush put app/built --file -
  crush put app/offset -- -5
  crush put app/limits '{"cpu": 2}' --type json
  crush put app/config --path /spec/replicas 3
  crush put app/config --path /spec/image --type text shop:12
  crush put app/owner alice --if-absent
  crush put app/port 8080 --wait zones --timeout 10s
  crush put app/port 8081 --if-match "$(crush get app/port -o json | jq -r .token)"`,
		Args: wantArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return p.put(cmd, args, &f) },
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.file, "file", "f", "", "take the value from `FILE`, or from standard input: -")
	addKind(cmd, &f.kind)
	fl.StringVar(&f.path, "path", "", "write only what stands at this `PATH` of a json or yaml, as /spec/replicas")
	fl.StringVar(&f.base, "base", "", "the `TOKEN` that was read: what is newer stays beside this value")
	fl.StringVar(&f.ifMatch, "if-match", "", "write only if the key is as at `TOKEN` (else exit 4)")
	fl.BoolVar(&f.ifAbsent, "if-absent", false, "write only if the key is not there (else exit 4)")
	exclusive(cmd, []string{"base", "if-match", "if-absent"})
	addMessage(cmd, &f.message)
	return cmd
}

func (p *program) put(cmd *cobra.Command, args []string, f *putFlags) error {
	r := rpc.PutRequest{
		KeyRef:   p.keyRef(args[0]),
		Claim:    p.claim(f.message),
		Base:     rpc.Token(f.base),
		IfMatch:  rpc.Token(f.ifMatch),
		IfAbsent: f.ifAbsent,
	}
	err := setKind(&r.Kind, f.kind)
	if err == nil {
		err = setPath(&r.Path, f.path)
	}
	if err == nil {
		err = setKind(&r.Otherwise, extensions[strings.ToLower(filepath.Ext(f.file))])
	}
	if err != nil {
		return err
	}
	if r.Value, err = p.putValue(args, cmd.Flags().Changed("file"), f.file); err != nil {
		return err
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	w, err := door.Put(ctx, r)
	if err != nil {
		return hintQuotes(err, r.Value, f.path != "")
	}
	return p.printPut(r.Key, f.path, w)
}

// printPut prints the answer of a put, of a whole value or at a path.
func (p *program) printPut(key, path string, w rpc.Written) error {
	p.warnWritten(key, w)
	return p.print(w, func() {
		if w.Unchanged {
			p.printf("%s says that already: nothing to write\n", place(key, path))
			return
		}
		p.printf("put %s, revision %s\n", place(key, path), new(shortener).short(w.Revision))
	})
}

// putValue returns the literal value or the bytes of the file.
func (p *program) putValue(args []string, hasFile bool, file string) ([]byte, error) {
	switch {
	case len(args) == 2 && hasFile:
		return nil, usagef("put takes VALUE or --file, not both")
	case len(args) == 2:
		return []byte(args[1]), nil
	case !hasFile:
		return nil, usagef("put wants a value: put KEY VALUE, put KEY --file FILE, or put KEY --file - for standard input")
	case file == "-":
		return readValue(p.stdin, "standard input")
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return readValue(in, file)
}

// maxValue is the largest value that the store takes.
const maxValue = 4 << 20

// readValue reads a value, and stops soon after it is too large for one.
func readValue(in io.Reader, name string) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(in, maxValue+1))
	switch {
	case err != nil:
		return nil, &localError{verb: "read " + name, cause: err}
	case len(value) > maxValue:
		return nil, tooLarge(name)
	}
	return value, nil
}

func tooLarge(name string) error {
	return &rpc.Error{
		Code:    rpc.CodeTooLarge,
		Message: fmt.Sprintf("%s is too large: a value has at most %d bytes", name, maxValue),
	}
}

// warnWritten says what a person should know of a write that succeeded.
func (p *program) warnWritten(key string, w rpc.Written) {
	for _, line := range w.Warnings {
		p.warn("%s: %s", key, line)
	}
	if w.Settled > 0 {
		p.note("%s: this settled a conflict of %d values", key, w.Settled)
	}
	switch {
	case w.Sibling:
		p.warn("%s has changed since it was read: this value now stands beside a newer one (see crush info)", key)
	case w.Conflict:
		p.warn("%s is in conflict (see crush info)", key)
	}
}
