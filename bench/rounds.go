package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// A contestant measures itself once, in an empty directory of its own that is removed afterwards.
type contestant struct {
	name    string
	measure func(ctx context.Context, dir string) (float64, error)
}

// race measures all contestants in turn, round by round. What slows the machine down for a while so meets all of
// them, and the ratio of one round stays fair.
func (r *run) race(ctx context.Context, contestants []contestant) (*table, error) {
	t := newTable()
	for round := range r.rounds {
		for _, c := range contestants {
			figure, err := once(ctx, r.tmp, c)
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", c.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s: %.4g\n", round+1, r.rounds, c.name, figure)
			t.add(c.name, figure)
		}
	}
	return t, nil
}

// withCrush adds the daemon to the contestants, if there is one.
func (r *run) withCrush(ctx context.Context, contestants []contestant, daemon func(program string) contestant) ([]contestant, error) {
	program, err := r.program(ctx)
	if errors.Is(err, errNoCrush) {
		fmt.Fprintln(os.Stderr, "crush is left out:", err)
		return contestants, nil
	}
	if err != nil {
		return nil, err
	}
	return append(contestants, daemon(program)), nil
}

func once(ctx context.Context, tmp string, c contestant) (float64, error) {
	dir, err := os.MkdirTemp(tmp, "")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	return c.measure(ctx, dir)
}

// A table holds one figure for each contestant and round.
type table struct {
	names   []string
	figures map[string][]float64
}

func newTable() *table { return &table{figures: map[string][]float64{}} }

// add adds a contestant's figure of the next round.
func (t *table) add(name string, figure float64) {
	if len(t.figures[name]) == 0 {
		t.names = append(t.names, name)
	}
	t.figures[name] = append(t.figures[name], figure)
}

// only returns the table of some contestants.
func (t *table) only(names ...string) *table { return &table{names: names, figures: t.figures} }

// print writes median, minimum and maximum of each contestant, and the median over the rounds of its ratio to each
// of the baselines. A baseline that took no part is left out.
func (t *table) print(unit string, baselines ...string) {
	baselines = slices.DeleteFunc(slices.Clone(baselines), func(b string) bool { return len(t.figures[b]) == 0 })
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := []string{unit, "median", "min", "max"}
	for _, b := range baselines {
		head = append(head, "× "+b)
	}
	fmt.Fprintln(w, strings.Join(head, "\t")+"\t")
	for _, name := range t.names {
		f := t.figures[name]
		row := []string{name, number(median(f)), number(slices.Min(f)), number(slices.Max(f))}
		for _, b := range baselines {
			row = append(row, proportion(t.ratio(name, b)))
		}
		fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	w.Flush()
}

// ratio returns the median over the rounds of a's figure divided by b's of the same round.
func (t *table) ratio(a, b string) float64 {
	ratios := make([]float64, 0, len(t.figures[a]))
	for round, figure := range t.figures[a] {
		ratios = append(ratios, figure/t.figures[b][round])
	}
	return median(ratios)
}

// median returns the middle of figures, which must not be empty; the upper one of two.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}

func number(f float64) string {
	if f >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

// proportion writes a ratio with two digits behind the point, or three if it is small.
func proportion(ratio float64) string {
	if ratio < 0.1 {
		return fmt.Sprintf("%.3f", ratio)
	}
	return fmt.Sprintf("%.2f", ratio)
}

// A run is one call of a command.
type run struct {
	rounds int
	tmp    string // the run's directory, removed by end
	crush  string // the daemon's program; empty: build it; "none": leave it out
	before string // another one, to compare with; empty for none
	report string // file that gets the figures too; empty for none
}

// begin parses the flags that all commands have, and those that define adds, and makes the run's directory.
func begin(name string, args []string, define func(*flag.FlagSet)) (*run, error) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	r := &run{}
	flags.IntVar(&r.rounds, "rounds", 5, "rounds of each contestant")
	parent := flags.String("dir", "", "where stores are put (default: the system's directory for temporary files)")
	flags.StringVar(&r.crush, "crush", "", "the crush program to measure, or none (default: build it from the sources)")
	flags.StringVar(&r.before, "before", "", "an older crush program, to take part beside it (puts, gets)")
	flags.StringVar(&r.report, "report", "", "a file to which the figures of puts, library, gets, hop, pair, join and catchup are appended")
	define(flags)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if r.rounds < 1 || flags.NArg() > 0 {
		return nil, fmt.Errorf("%s: want at least one round and no arguments", name)
	}
	tmp, err := os.MkdirTemp(*parent, "crush-bench-")
	if err != nil {
		return nil, err
	}
	r.tmp, err = filepath.Abs(tmp)
	return r, err
}

func (r *run) end() { os.RemoveAll(r.tmp) }
