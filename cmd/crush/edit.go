package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type editFlags struct{ kind, message string }

func (p *program) editCommand() *cobra.Command {
	var f editFlags
	cmd := &cobra.Command{
		Use:   "edit KEY",
		Short: "Change a value in an editor",
		Long: `Change a value in your editor: VISUAL, EDITOR, or vi. A key that is not there
begins empty. If nothing was changed, nothing is written; comments and layout
count.

What you write counts as made from what you were shown. If a json or yaml has
changed meanwhile, both changes hold, and a field that both changed is a
conflict; of any other kind nothing is written (exit 4). Whenever your text could
not be written, as when it does not parse, it is kept in a file, and the error
says where.`,
		Example: `  crush edit app/config
  crush edit app/limits --type json -m "more memory"
  EDITOR='code --wait' crush edit app/motd`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.edit(cmd, args[0], &f) },
	}
	addKind(cmd, &f.kind)
	addMessage(cmd, &f.message)
	return cmd
}

func (p *program) edit(cmd *cobra.Command, key string, f *editFlags) error {
	r := rpc.PutRequest{KeyRef: p.keyRef(key), Claim: p.claim(f.message)}
	if err := setKind(&r.Kind, f.kind); err != nil {
		return err
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	e, err := p.readToEdit(cmd, door, rpc.GetRequest{KeyRef: r.KeyRef})
	if err != nil {
		return err
	}
	kind := f.kind
	if kind == "" && !e.Kind.IsZero() {
		kind = e.Kind.String()
	}
	if isDocument(kind) {
		r.Base = e.Token
	} else {
		r.IfMatch = e.Token
	}
	now, err := p.runEditor(editing{name: key, kind: kind, text: string(e.Value)})
	if err != nil {
		return err
	}
	if now.text == string(e.Value) {
		now.discard()
		return p.print(rpc.Written{Heads: e.Heads, Token: e.Token, Conflict: e.Conflict, Unchanged: true}, func() {
			p.printf("%s is unchanged: nothing to write\n", escape(key))
		})
	}
	r.Value = []byte(now.text)
	ctx, cancel := p.afterEditing(cmd.Context())
	defer cancel()
	w, err := door.Put(ctx, r)
	if err != nil {
		return now.keep(err)
	}
	now.discard()
	return p.printPut(key, "", w)
}

// readToEdit reads what an editor is to show.
func (p *program) readToEdit(cmd *cobra.Command, door *rpc.Client, r rpc.GetRequest) (rpc.Entry, error) {
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	e, err := door.Get(ctx, r)
	if err != nil {
		return e, err
	}
	if !isText(e.Value) {
		return e, fmt.Errorf("the value of %s is not text: use crush get and crush put --file", r.Key)
	}
	p.warnRead(e)
	return e, nil
}
