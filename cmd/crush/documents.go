package main

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"crush/rpc"
)

// kinds are those that a value can be written as.
var kinds = []string{"bytes", "text", "json", "yaml"}

// addKind adds --type.
func addKind(cmd *cobra.Command, kind *string) {
	cmd.Flags().StringVar(kind, "type", "", "`KIND` of the value: bytes, text, json or yaml (default: the key's, else the file's, else bytes)")
	// The only error is a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp))
}

// setKind reads --type, if it is given.
func setKind(kind encoding.TextUnmarshaler, text string) error {
	switch {
	case text == "":
		return nil
	case !slices.Contains(kinds, text):
		return usagef("--type %s: want bytes, text, json or yaml", text)
	}
	return kind.UnmarshalText([]byte(text))
}

// setPath reads --path, if it is given.
func setPath(path encoding.TextUnmarshaler, text string) error {
	if text == "" {
		return nil
	}
	if err := path.UnmarshalText([]byte(text)); err != nil {
		return usagef("--path: %v", err)
	}
	return nil
}

// isDocument reports whether a kind has fields.
func isDocument(kind string) bool { return kind == "json" || kind == "yaml" }

// extensions are the kinds that the names of files say.
var extensions = map[string]string{".json": "json", ".yaml": "yaml", ".yml": "yaml"}

// place names a key, or a place in its value, for people.
func place(key, path string) string {
	if path == "" || path == "/" {
		return escape(key)
	}
	return escape(key) + " at " + escape(path)
}

// hintQuotes says how to write a word as JSON, where one stood that is none: a
// shell takes the quotes away.
func hintQuotes(err error, value []byte, typed bool) error {
	const most = 60
	word := string(value)
	if !errors.Is(err, rpc.ErrUnparsed) || strings.Contains(err.Error(), ": read counter: ") || strings.Contains(err.Error(), ": read set: ") || len(word) > most || word == "" || !utf8.ValidString(word) || strings.ContainsAny(word, "\n\"") || strings.ContainsAny(word[:1], "{[") {
		return err
	}
	quoted, bad := json.Marshal(word)
	if bad != nil {
		return err
	}
	shown, ok := shellWord(string(quoted))
	if !ok {
		return err
	}
	hint := "if it is a string, write " + shown
	if typed {
		hint += ", or add --type text"
	}
	return fmt.Errorf("%w; %s", err, hint)
}
