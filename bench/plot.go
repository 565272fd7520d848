package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// A result is one table in a report: a line of JSON.
type result struct {
	Plot    string               `json:"plot"` // tables of one plot are drawn together
	Group   string               `json:"group"`
	Names   []string             `json:"names"`
	Figures map[string][]float64 `json:"figures"` // of each contestant, one a round
}

// show prints a table, and appends it to the run's report.
func (r *run) show(plot, group string, t *table, unit string, baselines ...string) error {
	fmt.Printf("%s: %s\n", plot, group)
	t.print(unit, baselines...)
	if r.report == "" {
		return nil
	}
	res := result{plot, group, t.names, map[string][]float64{}}
	for _, name := range t.names {
		res.Figures[name] = t.figures[name]
	}
	line, err := json.Marshal(res)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.report, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// plot draws the tables of a report, one SVG file for each plot: bars of the medians, lines from the lowest to the
// highest figure, on a logarithmic scale.
func plot(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("plot", flag.ContinueOnError)
	out := flags.String("out", "plots", "directory of the SVG files")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("plot: want one report, as -report has written it")
	}
	plots, err := readReport(flags.Arg(0))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	for _, results := range plots {
		name := filepath.Join(*out, fileName(results[0].Plot))
		if err := os.WriteFile(name, draw(results), 0o644); err != nil {
			return err
		}
		fmt.Println(name)
	}
	return nil
}

// readReport returns the results of each plot, in order; of two of one group the later one counts.
func readReport(name string) (plots [][]result, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var res result
		if err := json.Unmarshal(lines.Bytes(), &res); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		i := slices.IndexFunc(plots, func(p []result) bool { return p[0].Plot == res.Plot })
		if i < 0 {
			i, plots = len(plots), append(plots, nil)
		}
		plots[i] = append(slices.DeleteFunc(plots[i], func(old result) bool { return old.Group == res.Group }), res)
	}
	return plots, lines.Err()
}

// fileName makes a file name of a plot's title.
func fileName(title string) string {
	words := strings.FieldsFunc(title, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	return strings.Join(words, "-") + ".svg"
}

// The measures of a plot, in pixels.
const (
	plotLeft, plotWidth, plotRight = 210, 430, 80
	barHeight, groupGap            = 16, 26
)

// colours are those of contestants, by the order in which the plot comes to them.
var colours = []string{"#4c78a8", "#f58518", "#9d755d", "#72b7b2", "#e45756", "#54a24b", "#b279a2", "#bab0ac"}

// draw returns an SVG of the results of one plot.
func draw(results []result) []byte {
	low, high := math.Inf(1), 0.0
	var names []string
	for _, res := range results {
		for _, name := range res.Names {
			low, high = min(low, slices.Min(res.Figures[name])), max(high, slices.Max(res.Figures[name]))
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high*1.01))
	x := func(f float64) float64 { return plotLeft + plotWidth*(math.Log10(f)-from)/(to-from) }
	var bars strings.Builder
	y := 40
	for _, res := range results {
		fmt.Fprintf(&bars, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", y+14, html.EscapeString(res.Group))
		y += groupGap - 4
		for _, name := range res.Names {
			f := res.Figures[name]
			mid := median(f)
			fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotLeft-8, y+12, html.EscapeString(name))
			fmt.Fprintf(&bars, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", plotLeft, y+1, x(mid)-plotLeft, barHeight-3, colours[slices.Index(names, name)%len(colours)])
			fmt.Fprintf(&bars, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%[3]d" stroke="black"/>`+"\n", x(slices.Min(f)), x(slices.Max(f)), y+barHeight/2)
			fmt.Fprintf(&bars, `<text x="%.1f" y="%d">%s</text>`+"\n", x(slices.Max(f))+6, y+12, number(mid))
			y += barHeight
		}
		y += 8
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotLeft+plotWidth+plotRight, y+24)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="white"/><text x="10" y="22" font-size="15">%s</text>`+"\n", html.EscapeString(results[0].Plot))
	for e := from; e <= to; e++ {
		at := x(math.Pow(10, e))
		fmt.Fprintf(&out, `<line x1="%.1f" x2="%[1]f" y1="34" y2="%d" stroke="#ddd"/><text x="%[1]f" y="%[3]d" text-anchor="middle" fill="#666">%[4]g</text>`+"\n", at, y, y+16, math.Pow(10, e))
	}
	out.WriteString(bars.String())
	out.WriteString("</svg>\n")
	return []byte(out.String())
}
