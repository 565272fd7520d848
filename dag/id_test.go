package dag

import (
	"encoding"
	"errors"
	"strings"
	"testing"
)

// The text forms of SHA-256("crush"), made by other programs (the peer ID by
// libp2p, from the golden key).
const (
	textOfDigest      = "bafyreig25tal2kde5tcqbe4cupq6kcirlhjaerrvsc725q2gt7cr7cr5ea"
	hexOfDigest       = "daecc0bd2864ecc5009382a3e1e5091159d202463590bfaec3469fc51f8a3d20"
	peerIDOfGoldenKey = "12D3KooWPTBqrFNPrDwdh2aWvcChxNTG69jBYKuCTj1wCaq5fuq8"
)

// id is what every identifier can do.
type id interface {
	comparable
	String() string
	IsZero() bool
	encoding.TextMarshaler
}

// textForm checks that a text and an identifier name each other.
func textForm[T id](t *testing.T, parse func(string) (T, error), want T, text string) {
	t.Helper()
	got, err := parse(text)
	if err != nil || got != want || got.String() != text || got.IsZero() {
		t.Errorf("parse %q: %v, %v, want %v", text, got, err, want)
	}
	if b, err := want.MarshalText(); err != nil || string(b) != text {
		t.Errorf("marshal %v: %q, %v", want, b, err)
	}
	var zero T
	if !zero.IsZero() {
		t.Errorf("%T: zero is not zero", zero)
	}
}

// badText checks that what is almost a text form is refused.
func badText[T id](t *testing.T, parse func(string) (T, error), good string) {
	t.Helper()
	texts := []string{"", " ", good + " ", " " + good, good + "\n", good[:10] + "\n" + good[10:], good + "=", good[1:], good[:len(good)-1], good + good[:1], good + good, "\x00" + good, "🦆"}
	if up := strings.ToUpper(good); up != good {
		texts = append(texts, up)
	}
	for i := range good {
		texts = append(texts, good[:i]+"!"+good[i+1:])
	}
	for _, text := range texts {
		if got, err := parse(text); !errors.Is(err, ErrBadID) {
			t.Errorf("parse %q: %v, %v, want an error that is ErrBadID", text, got, err)
		}
	}
}

func TestTextForms(t *testing.T) {
	d := [32]byte(SumOf([]byte("crush")))
	textForm(t, ParseRevisionID, RevisionID(d), textOfDigest)
	textForm(t, ParseBlockID, BlockID(d), textOfDigest)
	textForm(t, ParseClusterID, ClusterID(d), textOfDigest)
	textForm(t, ParseChainID, ChainID(d), hexOfDigest)
	textForm(t, ParseForkID, ForkID(d), hexOfDigest)
	textForm(t, ParseSum, Sum(d), hexOfDigest)
	textForm(t, ParseNodeID, goldenKey.ID(), peerIDOfGoldenKey)
	badText(t, ParseRevisionID, textOfDigest)
	badText(t, ParseBlockID, textOfDigest)
	badText(t, ParseClusterID, textOfDigest)
	badText(t, ParseChainID, hexOfDigest)
	badText(t, ParseForkID, hexOfDigest)
	badText(t, ParseSum, hexOfDigest)
	badText(t, ParseNodeID, peerIDOfGoldenKey)
}

// TestForeignCIDs: a CID of anything but a node of ours is refused.
func TestForeignCIDs(t *testing.T) {
	for name, text := range map[string]string{
		"version 0":    "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
		"raw":          "b" + base32Lower.EncodeToString(append([]byte{1, 0x55, 0x12, 0x20}, make([]byte, 32)...)),
		"dag-pb":       "b" + base32Lower.EncodeToString(append([]byte{1, 0x70, 0x12, 0x20}, make([]byte, 32)...)),
		"BLAKE3":       "b" + base32Lower.EncodeToString(append([]byte{1, 0x71, 0x1e, 0x20}, make([]byte, 32)...)),
		"short digest": "b" + base32Lower.EncodeToString(append([]byte{1, 0x71, 0x12, 0x1f}, make([]byte, 31)...)),
		"base 58":      "zdpuAyvkgEDQm9TenwGkd5eNaosSxjgEYd8QatfPetgB1CdEZ",
		"peer ID":      peerIDOfGoldenKey,
	} {
		if _, err := ParseBlockID(text); !errors.Is(err, ErrBadID) {
			t.Errorf("%s: %v, want an error that is ErrBadID", name, err)
		}
	}
}

// TestDerivedIDs: how ids are made of their parts is part of the formats.
func TestDerivedIDs(t *testing.T) {
	for name, got := range map[string][32]byte{
		"chain": goldenChain, "fork": goldenFork, "default fork": DefaultFork(), "named fork": NamedFork("main"),
	} {
		golden(t, "id."+strings.ReplaceAll(name, " ", "-"), got[:])
	}
	a := NewForkID(goldenChain, 7, 2, goldenSalt)
	for _, b := range []ForkID{
		NewForkID(goldenChain, 2, 7, goldenSalt), NewForkID(goldenChain, 7, 3, goldenSalt), NewForkID(goldenChain, 7, 2, goldenNonce),
		NewForkID(ChainID{}, 7, 2, goldenSalt), ForkID(NewChainID(NodeID(goldenChain), goldenSalt)), NamedFork(""),
	} {
		if a == b {
			t.Errorf("two forks have the id %v", a)
		}
	}
}

func FuzzIDs(f *testing.F) {
	for _, s := range []string{textOfDigest, hexOfDigest, peerIDOfGoldenKey, "", "b", "1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		oneText(t, ParseRevisionID, s)
		oneText(t, ParseBlockID, s)
		oneText(t, ParseClusterID, s)
		oneText(t, ParseChainID, s)
		oneText(t, ParseForkID, s)
		oneText(t, ParseSum, s)
		oneText(t, ParseNodeID, s)
		var d Digest
		if err := d.UnmarshalText([]byte(s)); err == nil && d.String() != s {
			t.Errorf("%q reads as %v", s, d)
		}
		_, _, _ = prefixBounds(s)
	})
}

// oneText: no two texts name one thing.
func oneText[T id](t *testing.T, parse func(string) (T, error), s string) {
	v, err := parse(s)
	if err == nil && v.String() != s {
		t.Errorf("%q reads as %v", s, v)
	}
	if err != nil && !errors.Is(err, ErrBadID) {
		t.Errorf("%q: %v", s, err)
	}
}
