package term

import (
	"io"

	"github.com/spf13/cobra"
)

// Proposal is a change that is shown before it is made.
type Proposal struct {
	Form     Form
	Execute  bool                  // make it without a question
	Question string                // for a terminal
	Show     func(io.Writer) error // the change as people read it
}

// ExecuteFlag adds --execute to a command that proposes.
func ExecuteFlag(cmd *cobra.Command, execute *bool) {
	cmd.Flags().BoolVar(execute, "execute", false, "do what is shown; on a terminal, a question is asked without it")
}

// Propose shows a change and tells whether to make it: with --execute, or when somebody at a terminal says yes. In JSON and YAML
// nothing is shown yet, because the answer is one value; the caller prints it when it knows what was done.
func (e Env) Propose(p Proposal) (bool, error) {
	if p.Form == FormTable {
		if err := p.Show(e.Stdout); err != nil {
			return false, err
		}
	}
	if p.Execute {
		return true, nil
	}
	if p.Form == FormTable {
		if yes, asked := e.Confirm(p.Question); asked && yes {
			return true, nil
		}
	}
	e.Warn("nothing is changed: add --execute to do this")
	return false, nil
}

// Concluded prints a change that Propose showed: in words what was done, and otherwise the whole of it with whether it was done.
func (e Env) Concluded(form Form, executed bool, changes any, done func(io.Writer) error) error {
	answer := struct {
		Executed bool `json:"executed"`
		Changes  any  `json:"changes"`
	}{executed, changes}
	return e.Print(form, answer, func(w io.Writer) error {
		if !executed {
			return nil
		}
		return done(w)
	})
}
