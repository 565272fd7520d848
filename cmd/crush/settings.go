package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"crush/daemon"
)

// setting is a flag that the environment and the configuration file can give
// too.
type setting struct {
	name string
	many bool // may stand several times
}

// clientSettings belong to every verb, daemonSettings to `crush daemon`.
var (
	clientSettings = []setting{
		{name: "data"},
		{name: "config"},
		{name: "socket"},
		{name: "addr"},
		{name: "fork"},
		{name: "output"},
		{name: "timeout"},
		{name: "author"},
	}
	daemonSettings = []setting{
		{name: "http"},
		{name: "http-open"},
		{name: "name"},
		{name: "zone"},
		{name: "socket-group"},
		{name: "listen", many: true},
		{name: "peer", many: true},
		{name: "announce", many: true},
		{name: "mdns"},
	}
)

// env is the name of the setting's environment variable.
func (s setting) env() string {
	return "CRUSH_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// environment returns the value that the environment gives; an empty variable
// is one that is not set.
func (p *program) environment(name string) (string, bool) {
	v, ok := p.lookup(name)
	return v, ok && v != ""
}

// resolve gives every setting that no flag gave the value of the environment,
// else of the file, and notes where each came from.
func (p *program) resolve(cmd *cobra.Command) error {
	var file []daemon.Setting
	for _, name := range []string{"config", "data"} {
		if err := p.settle(cmd, setting{name: name}, file); err != nil {
			return err
		}
		if name == "config" && p.flags.config != "" {
			var err error
			if file, err = daemon.ReadSettings(p.flags.config); err != nil {
				return err
			}
		}
	}
	if p.flags.data == "" {
		p.flags.data, p.origins["data"] = daemon.DefaultData(p.lookup)
	}
	var err error
	if p.flags.data, err = filepath.Abs(p.flags.data); err != nil {
		return &localError{verb: "find data directory", cause: err}
	}
	if p.flags.config == "" {
		if file, err = p.ownSettings(cmd); err != nil {
			return err
		}
	}
	if err := knownSettings(file); err != nil {
		return err
	}
	for _, s := range slices.Concat(clientSettings[2:], daemonSettings) {
		if f := cmd.Flags().Lookup(s.name); f == nil || overshadows(cmd, s) {
			continue
		}
		if err := p.settle(cmd, s, file); err != nil {
			return err
		}
	}
	if p.flags.socket == "" {
		p.flags.socket = filepath.Join(p.flags.data, daemon.SocketName)
	}
	return nil
}

// overshadows reports whether the verb has a flag of its own with the name of a
// global one: `log --author` filters.
func overshadows(cmd *cobra.Command, s setting) bool {
	global := cmd.Root().PersistentFlags().Lookup(s.name)
	return global != nil && cmd.Flags().Lookup(s.name) != global
}

// ownSettings reads DIR/crush.conf. A client may be another user, who cannot
// look into the directory: that is no error.
func (p *program) ownSettings(cmd *cobra.Command) ([]daemon.Setting, error) {
	p.flags.config, p.origins["config"] = filepath.Join(p.flags.data, daemon.ConfigName), "default"
	file, err := daemon.ReadSettings(p.flags.config)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, fs.ErrPermission) && cmd.Name() != "daemon":
		return nil, nil
	case err != nil:
		return nil, err
	}
	for _, line := range file {
		if line.Name == "data" || line.Name == "config" {
			return nil, usagef("%s: %s cannot stand in the file of the data directory: use the flag or %s",
				line.Where(), line.Name, setting{name: line.Name}.env())
		}
	}
	return file, nil
}

func knownSettings(file []daemon.Setting) error {
	for _, line := range file {
		known := func(s setting) bool { return s.name == line.Name }
		if !slices.ContainsFunc(clientSettings, known) && !slices.ContainsFunc(daemonSettings, known) {
			return usagef("%s: there is no setting %q", line.Where(), line.Name)
		}
	}
	return nil
}

// settle sets one flag from the environment or the file.
func (p *program) settle(cmd *cobra.Command, s setting, file []daemon.Setting) error {
	if cmd.Flags().Changed(s.name) {
		p.origins[s.name] = "flag --" + s.name
		return nil
	}
	if value, ok := p.environment(s.env()); ok {
		p.origins[s.name] = "environment " + s.env()
		values := []string{value}
		if s.many {
			values = strings.Fields(strings.ReplaceAll(value, ",", " "))
		}
		return setFlag(cmd, s.name, values, s.env())
	}
	var values []string
	where := ""
	for _, line := range file {
		if line.Name != s.name {
			continue
		}
		if len(values) > 0 && !s.many {
			return usagef("%s: %s stands twice", line.Where(), s.name)
		}
		values, where = append(values, line.Value), line.Where()
	}
	if len(values) > 0 {
		p.origins[s.name] = "file " + where
		return setFlag(cmd, s.name, values, where)
	}
	p.origins[s.name] = "default"
	return nil
}

func setFlag(cmd *cobra.Command, name string, values []string, where string) error {
	for _, v := range values {
		if err := cmd.Flags().Set(name, v); err != nil {
			return usagef("%s: %v", where, err)
		}
	}
	return nil
}
