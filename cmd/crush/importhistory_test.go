package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The environment that TestImportHistory needs: the directory with the streams
// of real repositories. With the second set, the large one is imported too.
const (
	gitDataEnv  = "CRUSH_GIT_DATA"
	gitLargeEnv = "CRUSH_GIT_LARGE"
)

// TestImportHistory imports the history of a real repository, and checks all of
// it against Git.
func TestImportHistory(t *testing.T) {
	dir := os.Getenv(gitDataEnv)
	if dir == "" {
		t.Skipf("%s does not name the directory with gitops-small.fe.zst and gitops-history.fe.zst", gitDataEnv)
	}
	demonstrate(t, "import-history.sh", filepath.Join(dir, "gitops-small.fe.zst"))
	if os.Getenv(gitLargeEnv) != "" {
		demonstrate(t, "import-history.sh", filepath.Join(dir, "gitops-history.fe.zst"))
	}
}
