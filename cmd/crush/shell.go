package main

import "strings"

// shellSafe are the characters that a shell leaves alone.
const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/:@%+,-=~"

// shellWord writes an argument as a person can paste it into a shell. ok is
// false if that cannot be shown on a line: the argument has characters that
// escape would change.
func shellWord(s string) (word string, ok bool) {
	if escape(s) != s {
		return "", false
	}
	plain := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(shellSafe, r) }) < 0
	if plain && s != "" && s[0] != '~' {
		return s, true
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'", true
}

// onFork are the words that make a command work on a fork.
func onFork(fork string) []string {
	if fork == "default" {
		return nil
	}
	return []string{"-F", fork}
}

// command joins words to what a person can type; words that cannot be shown
// are left as WORD.
func command(words ...string) string {
	out := []string{"crush"}
	for _, w := range words {
		word, ok := shellWord(w)
		if !ok {
			word = "WORD"
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}
