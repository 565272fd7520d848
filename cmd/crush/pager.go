package main

import (
	"bufio"
	"errors"
	"io"
	"os/exec"
	"syscall"
)

// pager is the program of CRUSH_PAGER, which shows long output.
type pager struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// page sends what is printed from here on through CRUSH_PAGER, if there is one
// and people read along.
func (p *program) page() error {
	command, ok := p.environment("CRUSH_PAGER")
	if !ok || p.pager != nil || p.format != formatText || !isTerminal(p.stdout) {
		return nil
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return &localError{verb: "start CRUSH_PAGER", cause: err}
	}
	p.pager = &pager{cmd: cmd, in: in}
	p.out = bufio.NewWriter(in)
	return nil
}

// close ends the pager's input and waits until the person has read it. Leaving
// the pager early is no error.
func (g *pager) close(flushed error) error {
	if errors.Is(flushed, syscall.EPIPE) {
		flushed = nil
	}
	return errors.Join(flushed, g.in.Close(), g.cmd.Wait())
}
