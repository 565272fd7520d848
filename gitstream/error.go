package gitstream

import (
	"errors"
	"fmt"
	"io"
)

// Error says what is wrong with a stream, and where.
type Error struct {
	// Line is the number of the line, from 1; lines within data count too.
	Line int64
	// Commit is the commit that was read, or the last one before; "" if there
	// was none yet.
	Commit string
	// Within is true if the fault is in that commit, false if it is behind it.
	Within bool
	// Cause is what is wrong.
	Cause error
}

// Error returns one line of text.
func (e *Error) Error() string {
	switch {
	case e.Commit == "":
		return fmt.Sprintf("line %d, before the first commit: %v", e.Line, e.Cause)
	case e.Within:
		return fmt.Sprintf("line %d, in commit %s: %v", e.Line, e.Commit, e.Cause)
	}
	return fmt.Sprintf("line %d, behind commit %s: %v", e.Line, e.Commit, e.Cause)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// ErrTruncated marks a stream that ends in the middle.
var ErrTruncated = errors.New("the stream breaks off")

// readFault is the cause of an error of the underlying reader.
func readFault(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}
