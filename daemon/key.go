package daemon

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"crush/dag"
)

// The key file has three lines: a title, the secret seed in hexadecimal, and
// the node's id, which tells a damaged seed from a whole one.
//
//	crush node key 1
//	000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
//	12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB
const (
	keyName  = "node.key"
	keyTitle = "crush node key 1"
)

// loadKey reads the key of a data directory, and makes one if there is none
// and no store either.
func loadKey(dir string) (key dag.NodeKey, made bool, err error) {
	name := filepath.Join(dir, keyName)
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		key, err = makeKey(dir)
		return key, err == nil, err
	case err != nil:
		return key, false, fmt.Errorf("read node key: %w", explain(dir, err))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return key, false, fmt.Errorf("%s can be read by others (mode %04o): make it private with chmod 600", name, mode)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return key, false, fmt.Errorf("read node key: %w", explain(dir, err))
	}
	key, ok := parseKey(string(text))
	if !ok {
		return key, false, fmt.Errorf("%s is damaged: put it back from a backup", name)
	}
	return key, false, nil
}

func makeKey(dir string) (dag.NodeKey, error) {
	name := filepath.Join(dir, keyName)
	if _, err := os.Stat(filepath.Join(dir, storeName)); err == nil {
		return dag.NodeKey{}, fmt.Errorf("%s is missing beside data that this node wrote: put it back from a backup", name)
	}
	var seed [32]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return dag.NodeKey{}, fmt.Errorf("make node key: %w", err)
	}
	key := dag.NewNodeKey(seed)
	if err := writeDurably(name, []byte(formatKey(key))); err != nil {
		return dag.NodeKey{}, fmt.Errorf("write node key: %w", explain(dir, err))
	}
	return key, nil
}

func formatKey(key dag.NodeKey) string {
	seed := key.Seed()
	return fmt.Sprintf("%s\n%s\n%s\n", keyTitle, hex.EncodeToString(seed[:]), key.ID())
}

// parseKey is the inverse of formatKey.
func parseKey(text string) (dag.NodeKey, bool) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return dag.NodeKey{}, false
	}
	seed, err := hex.DecodeString(lines[1])
	if err != nil || len(seed) != 32 {
		return dag.NodeKey{}, false
	}
	key := dag.NewNodeKey([32]byte(seed))
	return key, formatKey(key) == text
}
