package main

import (
	"os/exec"
	"testing"
)

func TestShellWord(t *testing.T) {
	for _, s := range []string{"", "a/b", "a b", "it's", `"`, "$HOME", "`x`", "~root", "a~1", "*", "ключ", `back\slash`, "!x", "#x"} {
		word, ok := shellWord(s)
		if !ok {
			t.Errorf("%q cannot be shown", s)
			continue
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+word).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q is written %s, which a shell reads as %q (%v)", s, word, out, err)
		}
	}
	for _, s := range []string{"a\nb", "\x1b[2J", "\xff"} {
		if word, ok := shellWord(s); ok {
			t.Errorf("%q is written %s", s, word)
		}
	}
}
