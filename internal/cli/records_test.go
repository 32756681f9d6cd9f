package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/headrace/headrace/internal/cli/term"
)

func TestLinesComeBackAsTheyWereWritten(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a"))
	r := w.run("one\n\n  two \r\nlast without an end", "produce a")
	if r.code != term.ExitOK || r.out != "" || r.err != "4 records written to a\n" {
		t.Errorf("%+v", r)
	}
	w.want("", "consume a", "one\n\n  two \r\nlast without an end\n")
	if r := w.run("x\n", "produce a --quiet"); r.err != "" {
		t.Errorf("quiet: %q", r.err)
	}
}

func TestKeysHeadersPartitionsAndNulls(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(3, "a"))
	w.run("k1:v1\nno key\n:empty key\ngone:\n", "produce a -K : -p 2 -H h=1 -H empty= --empty-as-null")
	w.want("", "consume a --print partition,key,headers,value --separator |",
		"2|k1|h=1,empty=|v1\n2||h=1,empty=|no key\n2||h=1,empty=|empty key\n2|gone|h=1,empty=|\n")
	out := w.run("", "consume a --format json").out
	for i, want := range []string{
		`"offset":0,"timestamp":"`, `"key":null,"value":"no key","headers":[{"key":"h","value":"1"},{"key":"empty","value":""}]}`,
		`"key":"","value":"empty key"`, `"key":"gone","value":null`,
	} {
		if line := strings.Split(out, "\n")[i]; !strings.Contains(line, want) {
			t.Errorf("line %d: %s\nhas no %s", i, line, want)
		}
	}
	w.want("", "consume a -p 0,1", "")
	w.run("v\n", "produce a --key fixed -p 0")
	w.want("", "consume a -p 0 --print key,value", "fixed\tv\n")
	w.run("tab\tv\n", `produce a -K \t -p 1`)
	w.want("", `consume a -p 1 --print value,key --separator \x7c`, "v|tab\n")
	w.refused(term.ExitUsage, "", `consume a --separator \q`, `--separator: "\\q" has an escape that is not known`)
	w.refused(term.ExitFailed, "", "consume a -p 7", "topic a has no partition 7: it has 3, from 0 on")
	w.refused(term.ExitFailed, "", "consume nowhere", "cannot read topic nowhere: it does not exist")
}

func TestJSONCopiesRecordsExactly(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a", "b"))
	in := `{"topic":"x","partition":5,"offset":9,"timestamp":"2026-01-02T03:04:05.678Z","key":null,"value":"<&>\u2028","headers":[]}
{"timestamp":1700000000000,"keyBase64":"/w==","valueBase64":"AP4=","headers":[{"key":"h","value":null},{"keyBase64":"/w==","valueBase64":"/w=="}]}
{"value":""}
`
	if r := w.run(in, "produce a --format json"); r.code != term.ExitOK {
		t.Fatalf("%+v", r)
	}
	first := w.run("", "consume a --format json").out
	w.run(first, "produce b --format json")
	second := strings.ReplaceAll(w.run("", "consume b --format json").out, `"topic":"b"`, `"topic":"a"`)
	if first != second || strings.Count(first, "\n") != 3 {
		t.Errorf("first\n%ssecond\n%s", first, second)
	}
	for _, part := range []string{`"timestamp":"2026-01-02T03:04:05.678Z","key":null,"value":"<&>\u2028","headers":[]}`,
		`"timestamp":"2023-11-14T22:13:20.000Z","keyBase64":"/w==","valueBase64":"AP4=","headers":[{"key":"h","value":null},{"keyBase64":"/w==","valueBase64":"/w=="}]}`} {
		if !strings.Contains(first, part) {
			t.Errorf("%s\nhas no %s", first, part)
		}
	}
	w.refused(term.ExitFailed, "{}\n{\"vaule\":1}\n", "produce a --format json", "line 2: not a record in JSON: json: unknown field \"vaule\"")
	w.refused(term.ExitFailed, "{\"timestamp\":\"noon\"}\n", "produce a --format json", "line 1: timestamp: \"noon\" is neither")
}

func TestEveryCodecAndAcknowledgement(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a"))
	var want []string
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, acks := range []string{"all", "1", "0"} {
			want = append(want, codec+" "+acks)
			if r := w.run(codec+" "+acks+"\n", "produce a -z "+codec+" --acks "+acks); r.code != term.ExitOK || r.err != "1 record written to a\n" {
				t.Errorf("%s %s: %+v", codec, acks, r)
			}
		}
	}
	// What is not acknowledged may come after what is sent later.
	r := w.run("", "consume a --follow -n 15")
	got := strings.Split(strings.TrimSpace(r.out), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestRangesOfOffsetsAndTimes(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a"))
	for i := range 10 { // one a batch: the fake cluster looks up times by batch
		w.run(fmt.Sprintf(`{"value":"%d","timestamp":%d}`, i, 1000*(i+1)), "produce a --format json")
	}
	for line, want := range map[string]string{
		"":                             "0123456789",
		"--from 7":                     "789",
		"--from -2":                    "89",
		"--from -99 -n 3":              "012",
		"--from start --to 3":          "012",
		"--from 2 --to -5":             "234",
		"--from @3000 --to @5500":      "234",
		"--from @3001 -n 1":            "3",
		"--from @1970-01-01T00:00:08Z": "789",
		"--from @99999":                "",
		"--from 99":                    "",
		"--from 4 --to 4":              "",
		"--from end --to end":          "",
		"--from 8 --to 99":             "89",
		"--from 6 --follow --to 9":     "678",
		"--from -3 --follow -n 2":      "78",
		"--from +3 -n 1":               "3",
		"--offset 7":                   "789",
		"--offset -2":                  "89",
		"--offset +8":                  "89",
		"--offset start":               "0123456789",
		"--offset :3":                  "012",
		"--offset 2:-5":                "234",
		"--offset @3000:5500":          "234",
		"--offset @3000:end":           "23456789",
		"--offset @1970-01-01T00:00:03Z:1970-01-01T00:00:05.5Z": "234",
		"--offset @1970-01-01:1970-01-02":                       "0123456789",
		"--offset @-1h":                                         "",
		"--read-committed=false":                                "0123456789",
	} {
		r := w.run("", "consume a "+line)
		if got := strings.ReplaceAll(r.out, "\n", ""); r.code != term.ExitOK || got != want {
			t.Errorf("consume a %s: exit %d %s\n got %s\nwant %s", line, r.code, r.err, got, want)
		}
	}
}

func TestFollowGoesOnUntilInterrupted(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a"))
	w.run("old\n", "produce a")
	ctx, cancel := context.WithCancel(t.Context())
	out := &signalWriter{line: make(chan string, 10)}
	code := make(chan int)
	run := func(args ...string) {
		env := term.Env{Stdin: strings.NewReader(""), Stdout: out, Stderr: io.Discard, Getenv: w.getenv}
		code <- Run(ctx, args, env, Roles{})
	}
	go run("consume", "a", "--follow")
	if got := <-out.line; got != "old\n" {
		t.Errorf("first %q", got)
	}
	w.run("new\n", "produce a")
	if got := <-out.line; got != "new\n" {
		t.Errorf("then %q", got)
	}
	cancel()
	if c := <-code; c != term.ExitOK {
		t.Errorf("exit %d", c)
	}
}

// signalWriter hands on what is written.
type signalWriter struct{ line chan string }

func (s *signalWriter) Write(p []byte) (int, error) {
	s.line <- string(p)
	return len(p), nil
}

// Ctrl-C while standard input is open: what was read is still written.
func TestProduceDeliversWhatItReadBeforeAnInterrupt(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	in, feed := io.Pipe()
	defer feed.Close()
	var errs bytes.Buffer
	code := make(chan int)
	go func() {
		env := term.Env{Stdin: in, Stdout: io.Discard, Stderr: &errs, Getenv: w.getenv}
		code <- Run(ctx, []string{"produce", "a"}, env, Roles{})
	}()
	for i := range 100 {
		if _, err := fmt.Fprintf(feed, "%d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	w.want("", "consume a --follow -n 1", "0\n")
	cancel()
	if c := <-code; c != term.ExitInterrupted || !strings.Contains(errs.String(), "records written to a\nheadrace: interrupted\n") {
		t.Errorf("exit %d, %q", c, errs.String())
	}
}

func TestAGroupGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(2, "a"))
	w.run("1\n2\n3\n", "produce a -p 0")
	w.run("4\n", "produce a -p 1")
	first := w.run("", "consume a --group g")
	if len(strings.Fields(first.out)) != 4 || first.code != term.ExitOK {
		t.Errorf("first: %+v", first)
	}
	w.want("", "consume a --group g", "")
	w.run("5\n6\n", "produce a -p 1")
	w.want("", "consume a --group g -n 1", "5\n")
	w.want("", "consume a --group g", "6\n")
	w.want("", "consume a --group other --from @9999999999999", "")
}

func TestRecordsThatCannotBeWrittenAreTold(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a"))
	r := w.run("short\n"+strings.Repeat("x", 2000)+"\n", "produce a --max-message-bytes 1024")
	if r.code != term.ExitFailed || !strings.Contains(r.err, "headrace: line 2 is longer than --max-message-bytes 1024") || !strings.Contains(r.err, "1 record written to a") {
		t.Errorf("%+v", r)
	}
	w.refused(term.ExitFailed, "x\n", "produce a -p 7", "cannot write to topic a: it has no partition 7: it has 1, from 0 on")
	w.refused(term.ExitFailed, "x\n", "produce nowhere", "cannot write to topic nowhere: it does not exist (create it with headrace topic create nowhere)")
}

func TestRecordsAreShownInAFormatOfTheUsersOwn(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a"))
	w.run(`{"key":"k","value":"{\"n\": 1}","timestamp":1000,"headers":[{"key":"h","value":"x"},{"key":"i","value":"y"}]}`+"\n"+`{"valueBase64":"/w==","timestamp":2000}`+"\n", "produce a --format json")
	w.want("", `consume a -f %t/%p@%o·%k·%v{json}·%h{%k=%v;}·%d{rfc3339}\n`,
		"a/0@0 k {\"n\":1} h=x;i=y; 1970-01-01T00:00:01.000Z\na/0@1  \"/w==\"  1970-01-01T00:00:02.000Z\n")
	w.want("", `consume a --format %v{hex}|%V|%i|%]·`, "7b226e223a20317d|8|1|2 ff|1|2|2 ")
	w.want("", "consume a -o yaml -n 1", "---\ntopic: a\npartition: 0\noffset: 0\ntimestamp: \"1970-01-01T00:00:01.000Z\"\nkey: k\nvalue: '{\"n\": 1}'\nheaders:\n  - key: h\n    value: x\n  - key: i\n    value: y\n")
	if a, b := w.run("", "consume a -o json"), w.run("", "consume a --format json"); a.out != b.out || strings.Count(a.out, "\n") != 2 {
		t.Errorf("-o json: %q, --format json: %q", a.out, b.out)
	}
}

func TestAFilterChoosesRecordsAndTellsWhatItCouldNotJudge(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a"))
	w.run("{\"price\": 5}\n{\"price\": 50}\nno json\n{}\n{\"price\": 500}\n", "produce a")
	r := w.run("", "consume a --print offset --filter json.price>10")
	if r.code != term.ExitOK || r.out != "1\n4\n" || !strings.Contains(r.err, "--filter failed on 2 records, not printed; the first: record 2 of partition 0 of a: the value is not JSON") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	w.want("", "consume a --print offset --filter value.startsWith('no') -n 1", "2\n")
	w.want("", "consume a --print offset --filter offset>=3&&partition==0", "3\n4\n")
	w.refused(term.ExitUsage, "", "consume a --filter json.price>>1", "--filter: column 12: Syntax error")
	w.refused(term.ExitUsage, "", "consume a --filter prize>1", "--filter: column 1: undeclared reference to 'prize'")
}

func TestTopicsByRegularExpression(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "orders-eu", "orders-us", "other"))
	for _, topic := range []string{"orders-eu", "orders-us", "other"} {
		w.run(topic+"\n", "produce "+topic)
	}
	r := w.run("", "consume -r ^orders- ^nothing$")
	if lines := strings.Fields(r.out); r.code != term.ExitOK || len(lines) != 2 || !strings.Contains(r.out, "orders-eu\n") || !strings.Contains(r.out, "orders-us\n") {
		t.Errorf("%+v", r)
	}
	w.refused(term.ExitFailed, "", "consume -r ^x", "no topic is found by ^x (headrace topic list shows")
	w.refused(term.ExitUsage, "", "consume -r (", "--regex: error parsing regexp")
	if r := w.run("", "consume -r ^orders- --group g"); len(strings.Fields(r.out)) != 2 || r.code != term.ExitOK {
		t.Errorf("group: %+v", r)
	}
}
