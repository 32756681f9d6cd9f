package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestClocksFarApartAreToldOnceAndWhenTheyAgreeAgain(t *testing.T) {
	var told bytes.Buffer
	c := &clocks{log: slog.New(slog.NewTextHandler(&told, nil))}
	for _, step := range []struct {
		ahead, within time.Duration
		lines         int
		words         string
	}{
		{0, time.Millisecond, 0, ""},
		{5 * time.Second, time.Millisecond, 0, ""},
		{7 * time.Second, 3 * time.Second, 0, ""}, // it may be that the answer took so long
		{-time.Hour, time.Second, 1, "ahead_of_this_node=-1h0m0s"},
		{-time.Hour, time.Second, 1, ""},
		{time.Second, time.Second, 2, "agree again"},
		{time.Hour, time.Second, 3, "ahead_of_this_node=1h0m0s"},
	} {
		c.compared(2, step.ahead, step.within)
		if n := strings.Count(told.String(), "\n"); n != step.lines || !strings.Contains(told.String(), step.words) {
			t.Errorf("%v ahead, within %v: %d lines, want %d with %q:\n%s", step.ahead, step.within, n, step.lines, step.words, &told)
		}
	}
}
