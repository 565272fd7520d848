package rpc

import "errors"

// Code classifies an error for programs: it stands in the JSON error object,
// and decides the HTTP status and the exit code of the command line.
type Code string

// The codes. Their exit codes and HTTP statuses are those of Exit and Status.
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
)

// Error is an error with a code. Two errors match with errors.Is when the
// codes are equal and the target has no message.
type Error struct {
	Code    Code
	Message string
	// Cause is wrapped, and not sent to clients; may be nil.
	Cause error
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
	ErrDamaged   = &Error{Code: CodeDamaged}
)

// CodeOf returns the code of an error, CodeInternal if it has none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
