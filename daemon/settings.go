package daemon

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// Setting is one line of a configuration file.
type Setting struct {
	Name, Value string
	File        string
	Line        int // from 1
}

// Where says where the setting stands, for messages.
func (s Setting) Where() string { return fmt.Sprintf("%s:%d", s.File, s.Line) }

// ReadSettings reads a configuration file: one "flag value" a line, where the
// flag has no dashes and the value is the rest of the line. A # at the start
// of a line or after a space begins a comment.
func ReadSettings(file string) ([]Setting, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var settings []Setting
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(withoutComment(lines.Text()))
		if line == "" {
			continue
		}
		s := Setting{Name: line, File: file, Line: n}
		if i := strings.IndexAny(line, " \t"); i >= 0 {
			s.Name, s.Value = line[:i], strings.TrimSpace(line[i:])
		}
		if s.Value == "" {
			return nil, fmt.Errorf("%s: %s has no value: want \"flag value\"", s.Where(), s.Name)
		}
		settings = append(settings, s)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return settings, nil
}

func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}
