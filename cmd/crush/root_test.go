package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func testProgram(t *testing.T, env map[string]string) (p *program, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	out, errs := file("stdout"), file("stderr")
	lookup := func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
	return newProgram(&bytes.Buffer{}, out, errs, lookup), out.Name(), errs.Name()
}

func TestVerbFirst(t *testing.T) {
	p, _, _ := testProgram(t, nil)
	root := p.rootCommand()
	for in, want := range map[string]string{
		"get k":                          "get k",
		"-F prod get k":                  "get -F prod k",
		"--fork prod --json get k":       "get --fork prod --json k",
		"--fork=prod get k":              "get --fork=prod k",
		"-Fprod get k":                   "get -Fprod k",
		"--count ls app/":                "ls --count app/",
		"-n 3 log k":                     "log -n 3 k",
		"--file put put k":               "put --file put k",
		"-f x put k -m y":                "put -f x k -m y",
		"-r get a/":                      "get -r a/",
		"-rF x get a/":                   "get -rF x a/",
		"member --name n add ID":         "member add --name n ID",
		"--role reader member add ID":    "member add --role reader ID",
		"--into b merge a":               "merge --into b a",
		"-F x fork create y":             "fork create -F x y",
		"incr k -5":                      "incr k -- -5",
		"incr -5 k":                      "incr k -- -5",
		"-F x incr k -5 -m -6":           "incr -F x k -m -6 -- -5",
		"incr k -m=a -5 --wait 1":        "incr k -m=a --wait 1 -- -5",
		"incr -- k -5":                   "incr -- k -5",
		"incr k -5 -- -6":                "incr k -- -5 -6",
		"incr k 5":                       "incr k 5",
		"-m x set add k a":               "set add -m x k a",
		"get k -5":                       "get k -5",
		"--at 2h tag v1":                 "tag --at 2h v1",
		"tag --at 2h v1":                 "tag --at 2h v1",
		"tag -m x ls":                    "tag ls -m x",
		"--state watch app/":             "watch --state app/",
		"--state abc resolve k":          "resolve --state abc k",
		"put -- -k -v":                   "put -- -k -v",
		"watch -o json app/ -- get -F x": "watch -o json app/ -- get -F x",
		"help put":                       "help put",
		"":                               "",
	} {
		got, err := verbFirst(root, strings.Fields(in))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("verbFirst(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"branch -d x", "-F x checkout y", "--bogus nothing"} {
		if got, err := verbFirst(root, strings.Fields(in)); err == nil {
			t.Errorf("verbFirst(%q) = %q, want an error", in, got)
		}
	}
}

// TestFlagsAgree holds the verbs to what verbFirst needs: a flag's name takes
// a value in every verb that has it, or in none.
func TestFlagsAgree(t *testing.T) {
	p, _, _ := testProgram(t, nil)
	root := p.rootCommand()
	var all []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		all = append(all, c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	for _, a := range all {
		for _, name := range []string{
			"after", "all", "announce", "apply", "at", "author", "base", "count", "cursor-file", "del", "dir", "discard", "edit", "exit-code",
			"expect", "file", "force", "from", "http", "http-open", "if-absent", "if-match", "import-as", "into", "key", "listen", "mdns", "message",
			"max-lag", "name", "node", "number", "on-conflict", "path", "peer", "plan", "prefix", "prune", "recursive", "reject", "resolve", "rev",
			"role", "scope", "since", "skip", "strict", "take", "text", "to", "type", "value", "wait", "watch", "zone",
		} {
			f := a.Flags().Lookup(name)
			if f == nil {
				continue
			}
			if got := wantsValue(root, name); got != (f.NoOptDefVal == "") {
				t.Errorf("%s --%s: some other verb disagrees on whether it takes a value", a.CommandPath(), name)
			}
		}
	}
}

// TestHelp wants an example, a description and no surprise in every verb's help.
func TestHelp(t *testing.T) {
	p, _, _ := testProgram(t, nil)
	root := p.rootCommand()
	var names []string
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		names = append(names, strings.TrimPrefix(c.CommandPath(), "crush"))
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s: no description or no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len(line) > 100 {
				t.Errorf("%s: a long line: %s", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	want := []string{
		"", " alias", " alias log", " alias ls", " alias rm", " alias set", " apply", " bench", " blame", " completion", " config", " conflicts", " daemon",
		" del", " diff", " edit", " export", " fork", " fork create", " fork ls", " fork rename", " fork restore", " fork rm",
		" fork show", " get", " id", " import", " incr", " info", " join", " log", " ls", " member", " member add", " member ls", " member rm", " merge", " peers", " pick",
		" policy", " policy ls", " policy rm", " policy set", " promote", " purge", " put", " resolve", " rollback", " set", " set add", " set ls", " set rm", " show", " snapshot", " snapshot restore", " snapshot save", " snapshot status", " status", " tag", " tag ls", " tag rm", " undo", " verify",
		" version", " watch",
	}
	if !slices.Equal(names, want) {
		t.Errorf("verbs in help: %q, want %q", names, want)
	}
}

func TestHintsNameVerbs(t *testing.T) {
	p, _, _ := testProgram(t, nil)
	root := p.rootCommand()
	for wrong, hint := range hints {
		if subCommand(root, wrong) != nil {
			t.Errorf("%s is a verb, and has a hint", wrong)
		}
		for _, part := range strings.Split(hint, "crush ")[1:] {
			words := strings.Fields(part)
			cmd := subCommand(root, strings.Trim(words[0], ",:)"))
			if cmd == nil {
				t.Errorf("hint of %s names %q, which is no verb", wrong, words[0])
			} else if cmd.HasSubCommands() && !cmd.Runnable() && (len(words) < 2 || subCommand(cmd, strings.Trim(words[1], ",:)")) == nil) {
				t.Errorf("hint of %s names crush %s without a verb of it", wrong, cmd.Name())
			}
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for line, want := range map[string]string{
		"set k v":                             "crush put KEY VALUE",
		"rm k":                                "crush del",
		"branch x":                            "fork",
		"push":                                "nodes sync by themselves",
		"put":                                 "argument is missing",
		"put k":                               "wants a value",
		"put k v --file f":                    "not both",
		"put k v w":                           "too many arguments",
		"put k v --type xml":                  "bytes, text, json or yaml",
		"put k v --type set":                  "bytes, text, json or yaml",
		"put k v --path a/b":                  "want a leading /",
		"put k v --path=":                     "--path is empty",
		"get k --path /a~2b":                  "want ~0 for ~",
		"get -r k/ --path /a":                 "cannot stand together",
		"del -r k/ --path /a":                 "cannot stand together",
		"del k --path a":                      "want a leading /",
		"set":                                 "add, rm, ls",
		"set add k":                           "argument is missing: crush set add KEY ELEM...",
		"set rm k":                            "argument is missing",
		"set ls":                              "argument is missing",
		"incr":                                "argument is missing",
		"incr k word":                         `"word" is no whole number`,
		"incr k 1.5":                          `"1.5" is no whole number`,
		"incr k -9223372036854775809":         "is no whole number of 64 bits",
		"incr k 1 -5":                         "too many arguments",
		"incr k -5x":                          "unknown shorthand flag",
		"blame":                               "argument is missing",
		"edit":                                "argument is missing",
		"edit k --type set":                   "bytes, text, json or yaml",
		"resolve k --edit --take a":           "cannot stand together",
		"resolve k --path a --take a":         "want a leading /",
		"merge a --into b --resolve k:/a~=x":  "want ~0 for ~",
		"merge a --into b --resolve k:/a=":    "want KEY:PATH=SIDE",
		"decr k":                              "crush incr KEY -1",
		"put k v --if-absent --base x":        "cannot stand together",
		"get":                                 "argument is missing",
		"get k --rev a --at b":                "cannot stand together",
		"get -r app":                          "did you mean app/",
		"get -o yaml k":                       "text, json or jsonl",
		"ls -o raw":                           "text, json or jsonl",
		"ls --json -o jsonl":                  "contradict",
		"del -r app":                          "did you mean app/",
		"purge":                               "argument is missing",
		"purge k":                             "-m WHY",
		"purge k --key k -m x":                "not two of them",
		"rollback k":                          "--to",
		"apply":                               "-f DIR",
		"apply -f d --prune":                  "--all",
		"apply -f d --all":                    "--prune",
		"apply -f d --prefix p":               "did you mean p/",
		"export":                              "--dir",
		"export --dir d app":                  "did you mean app/",
		"diff k":                              "argument is missing",
		"fork":                                "create, ls, show",
		"fork make x":                         "create, ls, show",
		"fork create":                         "argument is missing",
		"-F a fork create x --from b":         "contradict",
		"fork rename x":                       "argument is missing",
		"merge a":                             "--into DST",
		"-F b merge a":                        "--into DST",
		"merge --into b":                      "argument is missing",
		"merge a --into b --on-conflict both": "fail, keep, ours, theirs or lww",
		"merge a --into b --resolve k":        "KEY=SIDE",
		"merge a --into b --resolve =x":       "KEY=SIDE",
		"merge a --into b --plan --apply x":   "cannot stand together",
		"promote a":                           "--into DST",
		"pick x":                              "--into FORK",
		"resolve k":                           "--take SIDE",
		"resolve k --take a --del":            "cannot stand together",
		"resolve k --take a --value b":        "cannot stand together",
		"rollback a/":                         "--to",
		"rollback --to 2h":                    "argument is missing",
		"rollback a/ --all --to 2h":           "not two of them",
		"tag":                                 "argument is missing",
		"tag yesterday":                       "reads as a time",
		"tag 2026-01-02":                      "reads as a time",
		"alias":                               "set, ls, log, rm",
		"alias set live":                      "argument is missing",
		"cherry-pick x":                       "crush pick REV --into FORK",
		"rebase":                              "crush merge",
		"log -n -1":                           "number of lines",
		"log --since never":                   "RFC 3339",
		"member":                              "member ls",
		"member add x":                        "not a node's identity",
		"watch --":                            "command is missing",
		"completion tcsh":                     "bash, zsh",
		"daemon --http 0.0.0.0:1":             "only addresses of this machine",
		"daemon --http x":                     "HOST:PORT",
		"daemon --name -":                     "letters",
		"daemon --peer nonsense":              `peer "nonsense"`,
		"daemon --listen 127.0.0.1:1":         "/ip4/192.0.2.2/tcp/7655",
		"--nonsense ls":                       "unknown flag",
		"--timeout x ls":                      "invalid argument",
		"daemon --socket /" + long(200):       "too long",
	} {
		p, _, stderr := testProgram(t, map[string]string{"CRUSH_DATA": t.TempDir()})
		code := p.run(t.Context(), strings.Fields(line))
		text, err := os.ReadFile(stderr)
		if err != nil {
			t.Fatal(err)
		}
		if code != exitUsage || !strings.Contains(string(text), want) || bytes.Count(text, []byte("\n")) != 1 {
			t.Errorf("crush %s: exit %d, want 2 and one line with %q:\n%s", line, code, want, text)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("crush.conf", "# comment\nhttp off # no port\nzone north\nfork prod\nauthor file\n")
	p, stdout, stderr := testProgram(t, map[string]string{
		"CRUSH_DATA": dir, "CRUSH_AUTHOR": "env", "CRUSH_TOKEN": "very secret", "CRUSH_ZONE": "",
	})
	if code := p.run(t.Context(), []string{"config", "--fork", "flag"}); code != 0 {
		text, _ := os.ReadFile(stderr)
		t.Fatalf("exit %d: %s", code, text)
	}
	text, err := os.ReadFile(stdout)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"http off file " + dir + "/crush.conf:2",
		"zone north file " + dir + "/crush.conf:3",
		"fork flag flag --fork",
		"author env environment CRUSH_AUTHOR",
		"data " + dir + " environment CRUSH_DATA",
		"token (hidden) environment CRUSH_TOKEN",
		"timeout 0s default",
	} {
		if !slices.ContainsFunc(slices.Collect(strings.Lines(string(text))), func(line string) bool {
			return strings.Join(strings.Fields(line), " ") == want
		}) {
			t.Errorf("no line %q in:\n%s", want, text)
		}
	}
	for name, test := range map[string]struct{ text, want string }{
		"unknown": {"colour red\n", `there is no setting "colour"`},
		"twice":   {"zone a\nzone b\n", "zone stands twice"},
		"empty":   {"zone\n", "zone has no value"},
		"data":    {"data /x\n", "cannot stand in the file"},
		"bad":     {"\ntimeout soon\n", "crush.conf:2"},
	} {
		write("crush.conf", test.text)
		p, _, stderr := testProgram(t, map[string]string{"CRUSH_DATA": dir})
		code := p.run(t.Context(), []string{"config"})
		text, _ := os.ReadFile(stderr)
		if code == 0 || !strings.Contains(string(text), test.want) {
			t.Errorf("%s: exit %d: %s", name, code, text)
		}
	}
}
