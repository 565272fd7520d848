package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"zero":             {Config{}, ""},
		"all":              {Config{Socket: "/run/crush.sock", HTTP: "[::1]:0", Name: "db-1.example", Zone: "eu/1"}, ""},
		"localhost":        {Config{HTTP: "localhost:7654"}, ""},
		"off":              {Config{HTTP: Off}, ""},
		"socket":           {Config{Socket: "/" + strings.Repeat("x", 107)}, "with --socket"},
		"socket that fits": {Config{Socket: "/" + strings.Repeat("x", 106)}, ""},
		"name":             {Config{Name: "-x"}, `name "-x"`},
		"long name":        {Config{Name: strings.Repeat("n", 129)}, "name"},
		"zone":             {Config{Zone: "a b"}, `zone "a b"`},
		"all interfaces":   {Config{HTTP: ":7654"}, "only addresses of this machine"},
		"another machine":  {Config{HTTP: "10.0.0.1:7654"}, "only addresses of this machine"},
		"no port":          {Config{HTTP: "127.0.0.1"}, "want HOST:PORT"},
		"listen":           {Config{Listen: []string{"127.0.0.1:7655"}}, `address "127.0.0.1:7655"`},
		"announce":         {Config{Announce: []string{"nonsense"}}, `address "nonsense"`},
		"peer without id":  {Config{Peers: []string{"/ip4/192.0.2.2/tcp/7655"}}, `peer "/ip4/192.0.2.2/tcp/7655"`},
	} {
		err := test.config.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
	}
}

func TestDefaultData(t *testing.T) {
	env := func(pairs ...string) func(string) (string, bool) {
		return func(name string) (string, bool) {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1], true
				}
			}
			return "", false
		}
	}
	if got, _ := DefaultData(env("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", "HOME", "/h")); got != "/var/lib/a" {
		t.Errorf("with STATE_DIRECTORY: %s", got)
	}
	want := "/var/lib/crush"
	if os.Geteuid() != 0 {
		want = "/h/.local/share/crush"
	}
	if got, _ := DefaultData(env("HOME", "/h")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "conf")
	text := "# all of this is a comment\n\n  http   127.0.0.1:1  # the port\nname a#b\n\tzone\tnorth side \r\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSettings(file)
	if err != nil {
		t.Fatal(err)
	}
	want := []Setting{
		{"http", "127.0.0.1:1", file, 3}, {"name", "a#b", file, 4}, {"zone", "north side", file, 5},
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d: got %v, want %v", i, got[i], want[i])
		}
	}
}
