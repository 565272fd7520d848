package main

import (
	"regexp"
	"strconv"
	"time"
)

// agoPattern is a time before now: 2h, 3d, 1h30m.
var agoPattern = regexp.MustCompile(`^(?:(\d{1,5})w)?(?:(\d{1,5})d)?(?:(\d{1,5})h)?(?:(\d{1,5})m)?(?:(\d{1,5})s)?$`)

// parseTime reads the forms of TIME: RFC 3339, 2006-01-02[ 15:04[:05]] in the
// local zone, now, yesterday (the same hour of the day before), 2h, 3d (ago).
// ok is false if s is none of them.
func parseTime(s string, now time.Time) (t time.Time, ok bool) {
	switch s {
	case "":
		return time.Time{}, false
	case "now":
		return now, true
	case "yesterday":
		return now.AddDate(0, 0, -1), true
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, true
	}
	for _, layout := range []string{
		"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05",
	} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, true
		}
	}
	m := agoPattern.FindStringSubmatch(s)
	if m == nil {
		return time.Time{}, false
	}
	var n [6]int
	for i := 1; i < len(m); i++ {
		n[i], _ = strconv.Atoi(m[i]) // "" is 0
	}
	t = now.AddDate(0, 0, -7*n[1]-n[2])
	return t.Add(-time.Duration(n[3])*time.Hour - time.Duration(n[4])*time.Minute - time.Duration(n[5])*time.Second), true
}

// timeOrRef turns a TIME into RFC 3339, and leaves every other reference alone.
func timeOrRef(s string) string {
	if t, ok := parseTime(s, time.Now()); ok {
		return t.UTC().Format(time.RFC3339Nano)
	}
	return s
}
