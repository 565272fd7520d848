package scripts_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPlantedApply: the bugs of planted-bugs.sh can still be planted. Whether
// they are caught is for that script to say.
func TestPlantedApply(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	patches, err := filepath.Glob("planted/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("%d patches, %v", len(patches), err)
	}
	for _, patch := range patches {
		apply := exec.CommandContext(t.Context(), "git", "apply", "--check", filepath.Join("scripts", patch))
		apply.Dir = ".."
		if out, err := apply.CombinedOutput(); err != nil {
			t.Errorf("%s does not apply any more, plant it anew: %s", patch, out)
		}
	}
}
