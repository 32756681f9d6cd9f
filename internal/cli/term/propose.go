package term

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// Proposal is a change that is shown before it is made.
type Proposal struct {
	Form     Form
	Execute  bool                  // make it without a question
	Question string                // for a terminal
	Changes  any                   // the change in JSON and YAML
	Show     func(io.Writer) error // the change as people read it
	Do       func() error          // makes it; the time that somebody thinks about the question has passed by then
	Done     func(io.Writer) error // what was done, in words
}

// ExecuteFlag adds --execute to a command that proposes.
func ExecuteFlag(cmd *cobra.Command, execute *bool) {
	cmd.Flags().BoolVar(execute, "execute", false, "do what is shown; on a terminal, a question is asked without it")
}

// Propose shows a change, makes it with --execute or when somebody at a terminal says yes, and tells what was done: in words, and
// in JSON and YAML the whole change with whether it was made.
func (e Env) Propose(ctx context.Context, p Proposal) error {
	execute, err := e.agreed(ctx, p)
	if err == nil && execute {
		err = p.Do()
	}
	if err != nil {
		return err
	}
	answer := struct {
		Executed bool `json:"executed"`
		Changes  any  `json:"changes"`
	}{execute, p.Changes}
	return e.Print(p.Form, answer, func(w io.Writer) error {
		if !execute {
			return nil
		}
		return p.Done(w)
	})
}

// agreed shows a change and tells whether to make it. In JSON and YAML nothing is shown yet, because the answer is one value.
func (e Env) agreed(ctx context.Context, p Proposal) (bool, error) {
	if p.Form == FormTable {
		if err := p.Show(e.Stdout); err != nil {
			return false, err
		}
	}
	if p.Execute {
		return true, nil
	}
	if p.Form == FormTable {
		yes, asked := e.Confirm(ctx, p.Question)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if asked && yes {
			return true, nil
		}
	}
	e.Warn("nothing is changed: add --execute to do this")
	return false, nil
}
