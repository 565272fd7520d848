package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// exitSkipped is how scripts/two-nodes.sh says that it cannot run here.
const exitSkipped = 77

// TestTwoNodes runs the demonstration: two daemons in two network namespaces,
// cut off from each other, written on both sides, one killed, and together
// again. With the history of a real repository beside this one, its last tree
// is what is applied.
func TestTwoNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of commands on two daemons: not in short runs")
	}
	script, err := filepath.Abs("../../scripts/two-nodes.sh")
	if err != nil {
		t.Fatal(err)
	}
	crush, err := exec.LookPath("crush")
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	real, err := filepath.Abs("../../../shared/data/gitops-history.fe.zst")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(real); err == nil {
		args = append(args, real)
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
