package term

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
)

func TestAProposalIsMadeOnlyWhenItIsAgreedTo(t *testing.T) {
	for _, c := range []struct {
		form    Form
		execute bool
		out     string
		done    bool
	}{
		{FormTable, true, "shown\ndone\n", true},
		{FormTable, false, "shown\n", false},
		{FormJSON, true, "{\n  \"executed\": true,\n  \"changes\": 7\n}\n", true},
		{FormYAML, false, "executed: false\nchanges: 7\n", false},
	} {
		var out, errs bytes.Buffer
		done := false
		err := (Env{Stdin: &bytes.Buffer{}, Stdout: &out, Stderr: &errs}).Propose(t.Context(), Proposal{
			Form: c.form, Execute: c.execute, Changes: 7, Show: Lines("shown\n"), Done: Lines("done\n"),
			Do: func() error { done = true; return nil },
		})
		if err != nil || out.String() != c.out || done != c.done || (errs.Len() == 0) != c.done {
			t.Errorf("%+v: %v, %q, %q", c, err, out.String(), errs.String())
		}
	}
}

func TestAnInterruptedQuestionIsNo(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there is no terminal to be had: ", err)
	}
	defer terminal.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var out, errs bytes.Buffer
	err = (Env{Stdin: terminal, Stdout: &out, Stderr: &errs}).Propose(ctx, Proposal{
		Form: FormTable, Question: "do it?", Show: Lines(""), Done: Lines(""),
		Do: func() error { t.Error("it was done"); return nil },
	})
	if !errors.Is(err, context.Canceled) || errs.String() != "do it? [y/N] " {
		t.Error(err, errs.String())
	}
}
