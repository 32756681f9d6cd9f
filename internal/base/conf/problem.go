package conf

import "errors"

// Problem is something to tell of a configuration: a setting that is refused, or one that is accepted and that its author
// should hear of.
type Problem struct {
	Where   string // server.properties:3, environment KAFKA_NODE_ID; empty where the setting has no place of its own
	Key     string // empty where the trouble is not with one key
	Text    string
	Refused bool // the node must not start; otherwise a warning
	cause   error
}

// String is one line that names the place.
func (p Problem) String() string {
	if p.Where == "" {
		return p.Text
	}
	return p.Where + ": " + p.Text
}

// Error makes a refusal an error.
func (p Problem) Error() string { return p.String() }

// Unwrap gives callers the *Error that the refusal came from, where there is one.
func (p Problem) Unwrap() error { return p.cause }

// refusal is a Problem made of an error.
func refusal(where, key string, err error) Problem {
	var e *Error
	if key == "" && errors.As(err, &e) {
		key = e.Key
	}
	return Problem{Where: where, Key: key, Text: err.Error(), Refused: true, cause: err}
}

// firstRefused is the first Problem that stops a start, as an error, or nil.
func firstRefused(all []Problem) error {
	for _, p := range all {
		if p.Refused {
			return p
		}
	}
	return nil
}

// CheckNode is all that NewNode has to say against a node with these layers, not only the first of it.
func CheckNode(l Layers) []Problem {
	_, problems := newNode(l)
	return problems
}
