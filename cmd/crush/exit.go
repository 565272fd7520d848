package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"crush/rpc"
)

// The exit codes that do not come from an error of the daemon; docs/operations.md
// lists all of them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitDiffers     = 8
	exitNoDaemon    = 9
	exitTimeout     = 10
	exitDenied      = 11
	exitInterrupted = 130
)

// errDiffers makes `diff --exit-code` exit 8; it is not printed.
var errDiffers = errors.New("the values differ")

// usageError is a command line that means nothing.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// localError is a failure on this side of the door, as of a file.
type localError struct {
	verb  string
	cause error
}

func (e *localError) Error() string { return e.verb + ": " + e.cause.Error() }
func (e *localError) Unwrap() error { return e.cause }

// timeoutError says that --timeout ended the request.
type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string {
	return fmt.Sprintf("no answer within %s (change it with --timeout)", e.limit)
}

// Is makes the error a deadline like any other.
func (e *timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// verdict is what the program says of an error: code and message for the
// JSON error object, and the exit code.
type verdict struct {
	code    rpc.Code
	message string
	exit    int
}

// judge classifies an error of a verb that ran under ctx.
func judge(ctx context.Context, err error) verdict {
	if e, ok := errors.AsType[*keptError](err); ok {
		v := judge(context.WithoutCancel(ctx), e.cause)
		v.message += "; what you wrote is kept in " + e.file
		return v
	}
	if ctx.Err() != nil {
		return verdict{"interrupted", "interrupted", exitInterrupted}
	}
	if e, ok := errors.AsType[*usageError](err); ok {
		return verdict{rpc.CodeInvalid, e.message, exitUsage}
	}
	if e, ok := errors.AsType[*unreachableError](err); ok {
		return verdict{e.code(), e.Error(), e.exit()}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		message := err.Error()
		if e, ok := errors.AsType[*timeoutError](err); ok {
			message = e.Error()
		}
		return verdict{rpc.CodeTimeout, message, exitTimeout}
	}
	return verdict{rpc.CodeOf(err), err.Error(), rpc.ExitCode(err)}
}

// printWritten prints the answer of a write that is stored although it failed
// to wait for other nodes: in text what names the write.
func (p *program) printWritten(answer json.RawMessage) {
	if p.format != formatText {
		p.printf("%s\n", answer)
	} else {
		var w struct{ Block, Token string }
		// What does not parse has no names to print; the error says the rest.
		_ = json.Unmarshal(answer, &w)
		if w.Block != "" {
			p.printf("block %s\n", escape(w.Block))
		}
		if w.Token != "" {
			p.printf("token %s\n", escape(w.Token))
		}
	}
	// The error that is printed next says more than one of this would.
	_ = p.out.Flush()
}

// report prints an error and returns the exit code.
func (p *program) report(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errDiffers) {
		return exitDiffers
	}
	v := judge(ctx, err)
	if e, ok := errors.AsType[*rpc.Error](err); ok && e.Written != nil {
		p.printWritten(e.Written)
	}
	switch {
	case p.format != formatText:
		type object struct {
			Code    rpc.Code `json:"code"`
			Message string   `json:"message"`
		}
		enc := json.NewEncoder(p.stderr)
		enc.SetEscapeHTML(false)
		// An error here has nowhere to go.
		_ = enc.Encode(map[string]object{"error": {v.code, v.message}})
	case v.exit == exitInterrupted:
		// Whoever pressed the key knows.
	default:
		fmt.Fprintf(p.stderr, "crush: %s\n", escape(v.message))
	}
	return v.exit
}
