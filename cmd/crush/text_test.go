package main

import (
	"testing"
	"time"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain":           "plain",
		"häuser 日本 🏠":     "häuser 日本 🏠",
		"a\x1b[31mred":    `a\x1b[31mred`,
		"two\nlines\r\t":  `two\nlines\r\t`,
		"\x00\x7f\u0085":  `\x00\x7f\u0085`,
		"bad \xff utf":    `bad \xff utf`,
		"ltr\u202elru":    `ltr\u202elru`,
		"sep\u2028\u2066": `sep\u2028\u2066`,
	} {
		if got := escape(in); got != want {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestIsText(t *testing.T) {
	for in, want := range map[string]bool{
		"": true, "a\tb\r\n": true, "日本": true, "\ufeffbom": true,
		"\x00": false, "\xff": false, "\x1b[0m": false, "a\u202eb": false,
	} {
		if got := isText([]byte(in)); got != want {
			t.Errorf("isText(%q) = %v", in, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("east", 2*3600)
	now := time.Date(2026, 3, 10, 15, 30, 0, 0, zone)
	for in, want := range map[string]time.Time{
		"now":                         now,
		"yesterday":                   time.Date(2026, 3, 9, 15, 30, 0, 0, zone),
		"2h":                          now.Add(-2 * time.Hour),
		"3d":                          time.Date(2026, 3, 7, 15, 30, 0, 0, zone),
		"1w2d":                        time.Date(2026, 3, 1, 15, 30, 0, 0, zone),
		"1h30m":                       now.Add(-90 * time.Minute),
		"10s":                         now.Add(-10 * time.Second),
		"2026-01-02":                  time.Date(2026, 1, 2, 0, 0, 0, 0, zone),
		"2026-01-02 15:04":            time.Date(2026, 1, 2, 15, 4, 0, 0, zone),
		"2026-01-02 15:04:05":         time.Date(2026, 1, 2, 15, 4, 5, 0, zone),
		"2026-01-02T15:04:05":         time.Date(2026, 1, 2, 15, 4, 5, 0, zone),
		"2026-01-02T15:04:05Z":        time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		"2026-01-02T15:04:05.5+01:00": time.Date(2026, 1, 2, 14, 4, 5, 5e8, time.UTC),
	} {
		got, ok := parseTime(in, now)
		if !ok || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v; want %v", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "head", "head~1", "3k2hq7wm", "-2h", "2 h", "2026-13-01", "h", "12", "start"} {
		if got, ok := parseTime(in, now); ok {
			t.Errorf("parseTime(%q) = %v, want none", in, got)
		}
	}
}

type textID string

func (id textID) String() string { return sharedStart + string(id) }
func (id textID) IsZero() bool   { return id == "" }

func TestShortener(t *testing.T) {
	var s shortener
	s.add(textID("aaaaaaaabbbbbbbb"), textID("cccccccccccccccc"))
	if got := s.short(textID("aaaaaaaabbbbbbbb")); got != "aaaaaaaa" {
		t.Errorf("two that differ: %q", got)
	}
	s.add(textID("aaaaaaaabbcccccc"), textID("aaaaaaaabbbbbbbb"))
	if got := s.short(textID("aaaaaaaabbbbbbbb")); got != "aaaaaaaabbb" {
		t.Errorf("two that share ten characters: %q", got)
	}
	if got := s.short(textID("")); got != "-" {
		t.Errorf("none: %q", got)
	}
	if got := new(shortener).short(textID("aaaaaaaabbbbbbbb")); got != "aaaaaaaa" {
		t.Errorf("alone: %q", got)
	}
}
