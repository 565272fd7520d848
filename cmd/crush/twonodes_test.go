package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// exitSkipped is how the demonstrations say that they cannot run here.
const exitSkipped = 77

// TestTwoNodes runs the demonstration: two daemons in two network namespaces,
// cut off from each other, written on both sides, one killed, and together
// again. With the history of a real repository, its last tree is what is
// applied.
func TestTwoNodes(t *testing.T) {
	var args []string
	if dir := os.Getenv(gitDataEnv); dir != "" {
		args = append(args, filepath.Join(dir, "gitops-history.fe.zst"))
	}
	demonstrate(t, "two-nodes.sh", args...)
}

// TestZones runs the demonstration of three zones, one of them cut off for a
// while, and what people do then.
func TestZones(t *testing.T) { demonstrate(t, "zones.sh") }

// demonstrate runs a script that checks everything itself.
func demonstrate(t *testing.T, name string, args ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("hundreds of commands on several daemons: not in short runs")
	}
	script, err := filepath.Abs("../../scripts/" + name)
	if err != nil {
		t.Fatal(err)
	}
	crush, err := exec.LookPath("crush")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), script, args...)
	cmd.Env = append(os.Environ(), "CRUSH="+crush, "TMPDIR="+t.TempDir())
	// The script kills its daemons and removes its namespaces itself.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == exitSkipped {
		t.Skipf("%s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
