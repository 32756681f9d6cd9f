package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/node/logs"
)

// world is an admin listener on loopback.
type world struct {
	t *testing.T
	*Server
	at     string
	levels *logs.Levels
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, at: l.Addr().String(), levels: logs.New()}
	w.levels.Begin("api", slog.LevelInfo)
	c := Config{Log: slog.New(slog.DiscardHandler), Levels: w.levels, Profiles: true, Local: true}
	if change != nil {
		change(&c)
	}
	w.Server = Serve(l, c)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.Server.Close(ctx)
	})
	return w
}

func (w *world) ask(method, path, body string, headers ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.at+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

func (w *world) want(path string, code int, text string) {
	w.t.Helper()
	if got, body := w.ask("GET", path, ""); got != code || !strings.Contains(body, text) {
		w.t.Errorf("%s: %d %q, want %d %q", path, got, body, code, text)
	}
}

func TestReadyFollowsTheLifeOfTheNode(t *testing.T) {
	w := newWorld(t, nil)
	w.want("/livez", 200, "ok")
	w.want("/startupz", 503, "starting")
	w.want("/readyz", 503, "starting")
	w.want("/v1/status/ready", 503, `"booting"`)
	w.want("/metrics", 503, "starting")

	var trouble error
	w.Started(Node{Health: func() error { return trouble }, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "series") })})
	w.want("/startupz", 200, "ok")
	w.want("/readyz", 200, "ok")
	w.want("/v1/status/ready", 200, `"ready"`)
	w.want("/metrics", 200, "series")

	trouble = errors.New("every log dir is offline")
	w.want("/readyz", 503, "every log dir is offline")
	w.want("/livez", 200, "ok")
	trouble = nil
	w.Stopping()
	w.want("/readyz", 503, "stopping")
	w.want("/livez", 200, "ok")
}

func TestLogLevelsAreShownAndChanged(t *testing.T) {
	w := newWorld(t, nil)
	w.want("/loglevels", 200, `{"api":"INFO","root":"INFO"}`)
	put := func(body string, code int, text string, headers ...string) {
		t.Helper()
		if len(headers) == 0 {
			headers = []string{"Content-Type", "application/json; charset=utf-8"}
		}
		if got, answer := w.ask("PUT", "/loglevels", body, headers...); got != code || !strings.Contains(answer, text) {
			t.Errorf("%s: %d %q, want %d %q", body, got, answer, code, text)
		}
	}
	put(`{"api":"debug"}`, 200, `{"api":"DEBUG","root":"INFO"}`)
	put(`{"root":"ERROR"}`, 200, `{"api":"DEBUG","root":"ERROR"}`)
	put(`{"api":null}`, 200, `{"api":"ERROR","root":"ERROR"}`)
	put(`{"api":"TRACE","apy":"INFO"}`, 400, "no component")
	put(`{"api":"loud"}`, 400, "no log level")
	put(`{"root":null}`, 400, "follow")
	put(`{"api":"INFO"} {`, 400, "nothing after it")
	put(`[]`, 400, "want")
	put(`{"api":"INFO"}`, 415, "application/json", "Content-Type", "text/plain")
	put(`{"api":"`+strings.Repeat("x", maxBody)+`"}`, 400, "too large")
	w.want("/loglevels", 200, `{"api":"ERROR","root":"ERROR"}`)
}

func TestAListenerForOthersShowsLevelsAndChangesNone(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Local, c.Profiles = false, false })
	if code, _ := w.ask("PUT", "/loglevels", `{"api":"DEBUG"}`, "Content-Type", "application/json"); code != 403 {
		t.Errorf("a change from afar: %d", code)
	}
	if code, _ := w.ask("GET", "/loglevels", "", "Host", "broker-1.example.net:9644"); code != 200 {
		t.Errorf("a name of its own: %d", code)
	}
	w.want("/debug/pprof/", 404, "")
}

func TestALocalListenerRefusesNamesThatOthersServe(t *testing.T) {
	w := newWorld(t, nil)
	for host, code := range map[string]int{"evil.example.com": 403, "evil.example.com:9644": 403, "localhost:1": 200, "127.0.0.1": 200, "[::1]:9644": 200} {
		if got, _ := w.ask("GET", "/debug/pprof/cmdline", "", "Host", host); got != code {
			t.Errorf("%s: %d, want %d", host, got, code)
		}
	}
}

func TestMethodsThatArePointlessAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range [][2]string{{"POST", "/readyz"}, {"DELETE", "/loglevels"}, {"PUT", "/metrics"}, {"POST", "/debug/pprof/heap"}} {
		if code, _ := w.ask(c[0], c[1], ""); code != 405 {
			t.Errorf("%s %s: %d", c[0], c[1], code)
		}
	}
	w.want("/", 200, "/metrics")
	w.want("/nothing", 404, "")
}

func TestHeadersAreBoundedInSizeAndConnectionsInNumber(t *testing.T) {
	w := newWorld(t, nil)
	c, err := net.Dial("tcp", w.at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeader))
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "431") {
		t.Errorf("%q %v", line, err)
	}
	c.Close()
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range maxClients + 8 {
		c, err := net.Dial("tcp", w.at)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	w.want("/livez", 200, "ok") // although clients that say nothing hold every place
	longest := held[0]
	_ = longest.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := longest.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection that waited longest still has its place: %v", err)
	}
	last := held[len(held)-1]
	fmt.Fprint(last, "GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n")
	if line, err := bufio.NewReader(last).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Errorf("the newest connection: %q %v", line, err)
	}
	held[0].Close()
	for _, c := range held {
		c.Close()
	}
	for begin := time.Now(); ; { // the closed ones are noticed by and by
		c, err := net.Dial("tcp", w.at)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		c.Close()
		if err == nil && strings.Contains(line, "200") {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("no connection is taken after all have ended: %q %v", line, err)
		}
	}
}

func TestCloseEndsWithTheRequestsUnderWay(t *testing.T) {
	w := newWorld(t, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	w.Started(Node{Health: func() error { return nil }, Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		fmt.Fprint(w, "late")
	})})
	got := make(chan string, 1)
	go func() {
		_, body := w.ask("GET", "/metrics", "")
		got <- body
	}()
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- w.Close(context.Background()) }()
	close(leave)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if body := <-got; body != "late" {
		t.Errorf("%q", body)
	}
}

func TestAPageOfAnotherSiteCannotMakeALocalListenerWork(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		site, dest string
		code       int
	}{
		{"cross-site", "image", 403}, {"cross-site", "iframe", 403}, {"same-site", "empty", 403},
		{"cross-site", "document", 200}, {"same-origin", "empty", 200}, {"none", "document", 200}, {"", "", 200},
	} {
		if code, body := w.ask("GET", "/debug/pprof/cmdline", "", "Sec-Fetch-Site", c.site, "Sec-Fetch-Dest", c.dest); code != c.code {
			t.Errorf("%+v: %d %s", c, code, body)
		}
	}
}

func TestConnectionsThatAreAnsweredKeepTheirPlaces(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	room := &limited{Listener: l, most: 2}
	defer room.Close()
	admitted := func() *counted {
		near, far := net.Pipe()
		t.Cleanup(func() { near.Close() })
		return room.admit(far)
	}
	first, second := admitted(), admitted()
	room.changed(first, http.StateActive)
	if third := admitted(); third == nil || !second.gone || first.gone {
		t.Errorf("a third: %v; the one that waits is gone: %t, the one that is answered: %t", third, second.gone, first.gone)
	} else {
		room.changed(third, http.StateActive)
	}
	if fourth := admitted(); fourth != nil {
		t.Error("a place beyond those that are being answered")
	}
	room.changed(first, http.StateIdle)
	if fifth := admitted(); fifth == nil || !first.gone {
		t.Error("the one that was answered keeps its place for ever")
	}
	second.Close()
	if room.open != 2 {
		t.Errorf("%d connections are counted", room.open)
	}
}
