package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"crush/crdt"
)

// Code classifies an error for programs: it stands in the JSON error object,
// and decides the HTTP status and the exit code of the command line.
type Code string

// The codes. Their exit codes and HTTP statuses are those of [Code.Exit] and
// [Code.Status].
const (
	CodeInternal  Code = "internal"   // exit 1, 500
	CodeInvalid   Code = "invalid"    // exit 2, 400: the request is malformed
	CodeTooLarge  Code = "too_large"  // exit 1, 413
	CodeConflict  Code = "conflict"   // exit 3, 409
	CodeStale     Code = "stale"      // exit 4, 412
	CodeNotFound  Code = "not_found"  // exit 5, 404
	CodeAmbiguous Code = "ambiguous"  // exit 6, 409
	CodeNotHere   Code = "not_here"   // exit 7, 503: not all of it is on this node yet
	CodeTimeout   Code = "timeout"    // exit 10, 504
	CodeDenied    Code = "denied"     // exit 11, 403
	CodeReadOnly  Code = "read_only"  // exit 1, 507: the store takes no writes
	CodeBadHost   Code = "bad_host"   // exit 11, 421
	CodeGone      Code = "gone"       // exit 5, 410: cursor of another cluster
	CodeUnparsed  Code = "unparsable" // exit 1, 422: the value does not parse
	CodeDamaged   Code = "damaged"    // exit 1, 500: stored bytes fail their check
	CodeBusy      Code = "busy"       // exit 1, 429
	CodeMethod    Code = "method"     // exit 2, 405
	CodePurged    Code = "purged"     // exit 1, 410: the value was purged
	CodeNoDaemon  Code = "no_daemon"  // exit 9, 503: nobody answers, or is shutting down
)

// codes is what each code means outside. An unknown code, of a newer daemon,
// counts as CodeInternal.
var codes = map[Code]struct{ exit, status int }{
	CodeInternal:  {1, http.StatusInternalServerError},
	CodeInvalid:   {2, http.StatusBadRequest},
	CodeTooLarge:  {1, http.StatusRequestEntityTooLarge},
	CodeConflict:  {3, http.StatusConflict},
	CodeStale:     {4, http.StatusPreconditionFailed},
	CodeNotFound:  {5, http.StatusNotFound},
	CodeAmbiguous: {6, http.StatusConflict},
	CodeNotHere:   {7, http.StatusServiceUnavailable},
	CodeTimeout:   {10, http.StatusGatewayTimeout},
	CodeDenied:    {11, http.StatusForbidden},
	CodeReadOnly:  {1, http.StatusInsufficientStorage},
	CodeBadHost:   {11, http.StatusMisdirectedRequest},
	CodeGone:      {5, http.StatusGone},
	CodeUnparsed:  {1, http.StatusUnprocessableEntity},
	CodeDamaged:   {1, http.StatusInternalServerError},
	CodeBusy:      {1, http.StatusTooManyRequests},
	CodeMethod:    {2, http.StatusMethodNotAllowed},
	CodePurged:    {1, http.StatusGone},
	CodeNoDaemon:  {9, http.StatusServiceUnavailable},
}

// Exit returns the exit code of the command line.
func (c Code) Exit() int {
	if m, ok := codes[c]; ok {
		return m.exit
	}
	return codes[CodeInternal].exit
}

// Status returns the HTTP status.
func (c Code) Status() int {
	if m, ok := codes[c]; ok {
		return m.status
	}
	return codes[CodeInternal].status
}

// Error is an error with a code. Two errors match with errors.Is when the
// codes are equal and the target has no message.
type Error struct {
	Code    Code
	Message string
	// Cause is wrapped, and not sent to clients; may be nil.
	Cause error
	// Written is the answer, in JSON, of a write that is stored all the same:
	// what failed is the wait for other nodes. Nil for none.
	Written json.RawMessage
}

// Error returns the message: one line that says what was wrong and what to do.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is a bare code equal to e's.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Message == "" && t.Code == e.Code
}

// Bare codes to match with errors.Is.
var (
	ErrInvalid   = &Error{Code: CodeInvalid}
	ErrTooLarge  = &Error{Code: CodeTooLarge}
	ErrConflict  = &Error{Code: CodeConflict}
	ErrStale     = &Error{Code: CodeStale}
	ErrNotFound  = &Error{Code: CodeNotFound}
	ErrAmbiguous = &Error{Code: CodeAmbiguous}
	ErrNotHere   = &Error{Code: CodeNotHere}
	ErrTimeout   = &Error{Code: CodeTimeout}
	ErrDenied    = &Error{Code: CodeDenied}
	ErrReadOnly  = &Error{Code: CodeReadOnly}
	ErrGone      = &Error{Code: CodeGone}
	ErrUnparsed  = &Error{Code: CodeUnparsed}
	ErrDamaged   = &Error{Code: CodeDamaged}
	ErrPurged    = &Error{Code: CodePurged}
	ErrNoDaemon  = &Error{Code: CodeNoDaemon}
)

// CodeOf returns the code of an error, CodeInternal if it has none. A deadline
// that passed is CodeTimeout, a value that does not parse CodeUnparsed.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return CodeTimeout
	}
	if _, ok := errors.AsType[*crdt.SyntaxError](err); ok {
		return CodeUnparsed
	}
	return CodeInternal
}

// exitInterrupted is what shells expect of a program that SIGINT ended.
const exitInterrupted = 130

// ExitCode returns the exit code of the command line for an error: 0 for nil,
// 130 if the context was cancelled, else that of its code.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return CodeOf(err).Exit()
}
