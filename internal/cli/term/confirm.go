package term

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
)

// Confirm asks a question on a terminal and tells whether the answer was yes. Without a terminal there is nobody to ask, and
// asked is false. Ctrl-C is no.
func (e Env) Confirm(ctx context.Context, question string) (yes, asked bool) {
	in, ok := e.Stdin.(*os.File)
	if !ok || !isTerminal(in) {
		return false, false
	}
	fmt.Fprint(e.Stderr, question+" [y/N] ")
	line, _ := bufio.NewReader(e.Input(ctx)).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", true
}

// ErrIsTerminal tells whether standard error is a terminal, where a line can be written over.
func (e Env) ErrIsTerminal() bool {
	f, ok := e.Stderr.(*os.File)
	return ok && isTerminal(f)
}

// isTerminal takes every character device but the null device for a terminal. One that is none answers nothing, which is no.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
