package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) configCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Print the settings that hold, and where each came from",
		Long: `Print the settings that hold, and where each came from: a flag, the environment,
the file, or the default. Flags go before the environment, which goes before the
file.

The file is DIR/crush.conf, or what --config names: one setting a line, as
"http 127.0.0.1:7700", with # before comments. Settings of "crush daemon" are
those of the next start.`,
		Example: `  crush config
  crush config -o json`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.config(cmd) },
	}
}

// settled is a setting as `config` prints it.
type settled struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

func (p *program) config(cmd *cobra.Command) error {
	// The daemon's flags take their values from environment and file here as
	// they will in crush daemon.
	run := p.daemonCommand()
	run.Flags().AddFlagSet(cmd.Root().PersistentFlags())
	if err := p.resolve(run); err != nil {
		return err
	}
	if err := p.settleFormat(run); err != nil {
		return err
	}
	list := []settled{}
	for _, s := range slices.Concat(clientSettings, daemonSettings) {
		value := run.Flags().Lookup(s.name).Value.String()
		if s.many {
			value = strings.ReplaceAll(strings.Trim(value, "[]"), ",", " ")
		}
		list = append(list, settled{s.name, value, p.origins[s.name]})
	}
	token := settled{Name: "token", Origin: "default"}
	if _, ok := p.environment("CRUSH_TOKEN"); ok {
		token.Value, token.Origin = "(hidden)", "environment CRUSH_TOKEN"
	}
	list = append(list, token)
	return printList(p, each(list), func(s settled) {
		value := s.Value
		if value == "" {
			value = "-"
		}
		p.printf("%-13s %-40s %s\n", s.Name, escape(value), escape(s.Origin))
	})
}

// each makes a sequence of a list.
func each[T any](list []T) func(func(T, error) bool) {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}
