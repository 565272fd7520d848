package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Configs is a history of configs of 10 KB about, each revision of which changes one line.
type Configs struct {
	Keys      int
	Revisions int // of each key
	Together  int // keys that are changed at once
}

// Each calls put for each change, in order: the same keys and values for everybody.
func (c Configs) Each(put func(keys []string, values [][]byte) error) error {
	random := rand.New(rand.NewPCG(1, 2))
	configs := make([][]string, c.Keys)
	for i := range configs {
		configs[i] = config(random, i)
	}
	for range c.Revisions {
		for first := 0; first < c.Keys; first += c.Together {
			var keys []string
			var values [][]byte
			for i := first; i < min(c.Keys, first+c.Together); i++ {
				lines := configs[i]
				values, keys = append(values, []byte(strings.Join(lines, ""))), append(keys, fmt.Sprintf("config/service-%03d.yaml", i))
				lines[random.IntN(len(lines))] = setting(random)
			}
			if err := put(keys, values); err != nil {
				return err
			}
		}
	}
	return nil
}

// config makes the lines of a config, which a compressor makes about four times shorter.
func config(random *rand.Rand, i int) []string {
	lines := []string{fmt.Sprintf("# service %d\n", i)}
	for size := 0; size < 10<<10; {
		lines = append(lines, setting(random))
		size += len(lines[len(lines)-1])
	}
	return lines
}

var names = strings.Fields("image replicas port memory cpu timeout retries region strategy channel owner endpoint")

func setting(random *rand.Rand) string {
	return fmt.Sprintf("    %s-%d: \"value-%08x\" # as agreed with operations\n", names[random.IntN(len(names))], random.IntN(100), random.Uint32())
}

// Sizer is a Putter that knows how large its database is, without what is free in it.
type Sizer interface {
	Size(ctx context.Context) (int64, error)
}

// fill puts the configs of args on a server and prints what its database then takes.
func fill(ctx context.Context, args []string, connect func(ctx context.Context, dir string) (Putter, error)) error {
	c := Configs{Together: 1}
	if len(args) != 3 {
		return errors.New("fill: want KEYS REVISIONS DIR")
	}
	if _, err := fmt.Sscan(args[0]+" "+args[1], &c.Keys, &c.Revisions); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	p, err := connect(ctx, args[2])
	if err != nil {
		return err
	}
	err = c.Each(func(keys []string, values [][]byte) error { return p.Put(ctx, keys[0], values[0]) })
	var size int64
	if err == nil {
		size, err = p.(Sizer).Size(ctx)
	}
	if err = errors.Join(err, p.Close()); err == nil {
		_, err = fmt.Println(size)
	}
	return err
}
