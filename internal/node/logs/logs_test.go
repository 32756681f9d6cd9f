package logs

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestEachComponentHasALevelOfItsOwnWhileItRuns(t *testing.T) {
	var out bytes.Buffer
	l := New()
	log := slog.New(l.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: LevelTrace})))
	api, disk := log.With("component", "api"), log.With("component", "disk", "dir", "/data")
	wrote := func(log *slog.Logger, level slog.Level) bool {
		out.Reset()
		log.WithGroup("g").Log(t.Context(), level, "something")
		return out.Len() > 0
	}
	set := func(name string, level slog.Level) {
		t.Helper()
		if err := l.Set(name, level); err != nil {
			t.Fatal(err)
		}
	}
	if wrote(api, slog.LevelDebug) || !wrote(api, slog.LevelInfo) {
		t.Error("the level is not INFO at first")
	}
	set("api", slog.LevelDebug)
	if !wrote(api, slog.LevelDebug) || wrote(disk, slog.LevelDebug) || wrote(log, slog.LevelDebug) {
		t.Error("DEBUG for api is not for api alone")
	}
	set(Root, slog.LevelError)
	if !wrote(api, slog.LevelDebug) || wrote(disk, slog.LevelWarn) || wrote(log, slog.LevelWarn) {
		t.Error("ERROR for all is not for all but api")
	}
	if err := l.Follow("api"); err != nil || wrote(api, slog.LevelWarn) || !wrote(api, slog.LevelError) {
		t.Errorf("api does not follow: %v", err)
	}
	set("disk", LevelOff)
	if wrote(disk, LevelFatal) {
		t.Error("OFF lets something through")
	}
	late := log.With("component", "late")
	if wrote(late, slog.LevelWarn) || !wrote(late, slog.LevelError) {
		t.Error("a component that comes later does not begin with the level of all")
	}
	if got := l.All(); len(got) != 4 || got["disk"] != LevelOff || got["late"] != slog.LevelError {
		t.Errorf("%v", got)
	}
}

func TestWhatIsNoComponentOrLevelIsRefused(t *testing.T) {
	l := New()
	l.Handler(slog.DiscardHandler).WithAttrs([]slog.Attr{slog.String("component", "api")})
	if err := l.Set("apy", slog.LevelInfo); err == nil || !strings.Contains(err.Error(), "api, root") {
		t.Errorf("%v", err)
	}
	if l.Follow("apy") == nil || l.Follow(Root) == nil {
		t.Error("an unknown component, or root, follows")
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("loud is a level")
	}
	for _, n := range names {
		if got, err := ParseLevel(strings.ToLower(n.name)); err != nil || LevelName(got) != n.name {
			t.Errorf("%s: %v %v", n.name, got, err)
		}
	}
	if LevelName(slog.LevelWarn+1) != "WARN" || LevelName(-100) != "TRACE" {
		t.Error("levels between have no names")
	}
}

func TestALevelForNoComponentIsFoundOut(t *testing.T) {
	l := New()
	l.Begin("", slog.LevelWarn)
	l.Begin("api", slog.LevelDebug)
	l.Begin("apy", slog.LevelDebug)
	_ = slog.New(l.Handler(slog.DiscardHandler)).With("component", "api")
	if got := l.Unused(); len(got) != 1 || got[0] != "apy" {
		t.Errorf("unused are %q", got)
	}
}
