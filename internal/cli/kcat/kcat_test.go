package kcat

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/term"
)

func testEnv(stdin string, out, errs *strings.Builder) term.Env {
	return term.Env{Stdin: strings.NewReader(stdin), Stdout: out, Stderr: errs, Getenv: func(string) string { return "" }}
}

func run1(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	code = Run(t.Context(), args, testEnv(stdin, &o, &e))
	return code, o.String(), e.String()
}

func TestFormats(t *testing.T) {
	rec := &kgo.Record{
		Topic: "t", Partition: 2, Offset: 7, Timestamp: time.UnixMilli(1700000000123), Value: []byte("v\x01\"\n"),
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "n"}},
	}
	number := &kgo.Record{Topic: "t", Key: []byte{0, 0, 1, 0}, Value: []byte{1, 0, 255}}
	for _, c := range []struct {
		args string
		rec  *kgo.Record
		want string
	}{
		{`-f %t[%p]@%o_%K_%S_%T_%%\n`, rec, "t[2]@7_-1_4_1700000000123_%\n"},
		{`-f \x41\65\t%h`, rec, "AA\th=1,n=NULL"},
		{`-Z -f %k`, rec, "NULL"},
		{`-f %R`, rec, "\x00\x00\x00\x04"},
		{`-J`, rec, `{"topic":"t","partition":2,"offset":7,"tstype":"create","ts":1700000000123,"broker":3,"headers":["h","1","n",null],"key":null,"payload":"v\u0001\"\n"}` + "\n"},
		{`-s key=I -f %k`, number, "256"},
		{`-s key=<I -f %k`, number, "65536"},
		{`-s value=<hb -f %s`, number, "1-1"},
		{`-s value=hi -f %s`, number, "! Failed to format message in t [0] at offset 0: value truncated, expected 4 bytes to unpack i but only 1 bytes remaining"},
		{`-f %y`, rec, "! Unsupported formatter: %y"},
	} {
		o := defaults()
		var out, errs strings.Builder
		if err := o.read(append([]string{"-C", "-b", "x", "-t", "t"}, strings.Fields(c.args)...), testEnv("", &out, &errs)); err != nil {
			t.Fatal(c.args, err)
		}
		p, err := newPrinter(o)
		w := bufio.NewWriter(&out)
		if err == nil {
			err = p.print(w, c.rec, 3)
		}
		w.Flush()
		got := out.String()
		if err != nil {
			got = "! " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
	}
}

func TestOptionsAreReadAsGetoptDoes(t *testing.T) {
	var out, errs strings.Builder
	o := defaults()
	if err := o.read([]string{"file", "-Pbhost:1,other", "-tt", "-K:", "-H", "a=b", "-Hc", "-Xacks=1", "--", "-x"}, testEnv("", &out, &errs)); err != nil {
		t.Fatal(err)
	}
	if o.mode != 'P' || strings.Join(o.brokers, " ") != "host:1 other" || o.topic != "t" || *o.keyDelimiter != ":" || len(o.headers) != 2 || o.headers[1].value != nil ||
		o.props["acks"] != "1" || strings.Join(o.args, " ") != "file -x" {
		t.Errorf("%+v", o)
	}
}

func TestWhatIsNotThereIsSaid(t *testing.T) {
	for args, want := range map[string]string{
		"-b x -L -r http://x":                    "% ERROR: -r: Avro and the schema registry are not there",
		"-b x -C -t t -s avro":                   "% ERROR: -s avro: Avro and the schema registry are not there",
		"-b x -L -X nothing=1":                   `% ERROR: No such configuration property: "nothing"`,
		"-b x -L -X security.protocol=sasl_ssl":  "sasl.mechanisms=GSSAPI is not there",
		"-b x -L -X acks=7":                      `% ERROR: Invalid value "7" for configuration property "acks"`,
		"-M 3":                                   "% ERROR: -M: there is no mock cluster",
		"-L":                                     "Error: -b <broker,..> missing",
		"-b x -C":                                "Error: -t <topic> missing",
		"-b 127.0.0.1:1 -m 1 -L -X socket.foo=1": "% WARN: the property socket.foo has no effect",
	} {
		code, _, errs := run1(t, "", strings.Fields(args)...)
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %s", args, code, errs)
		}
	}
}

func TestRecordsGoInAndOut(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at := c.ListenAddrs()[0]
	file := filepath.Join(t.TempDir(), "kcat.conf")
	if err := os.WriteFile(file, []byte("# where\nbootstrap.servers="+at+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run1(t, "k:v\n\nplain\n", "-P", "-F", file, "-q", "-t", "t", "-K:", "-H", "h=1"); code != 0 || errs != "" {
		t.Fatal(code, errs)
	}
	if code, out, errs := run1(t, "", "-C", "-b", at, "-t", "t", "-e", "-f", `%k %s %h\n`); code != 0 || out != "k v h=1\n plain h=1\n" || errs != "% Reached end of topic t [0] at offset 2: exiting\n" {
		t.Fatal(code, out, errs)
	}
	if code, out, _ := run1(t, "", "-C", "-b", at, "-t", "t", "-o", "-1", "-e", "-q"); code != 0 || out != "plain\n" {
		t.Fatal(code, out)
	}
	if code, out, errs := run1(t, "", "-b", at, "-G", "g", "-X", "auto.offset.reset=earliest", "-e", "t"); code != 0 || out != "v\nplain\n" || !strings.Contains(errs, "rebalanced (memberid") {
		t.Fatal(code, out, errs)
	}
	if code, out, _ := run1(t, "", "-b", at, "-G", "g", "-e", "-q", "t"); code != 0 || out != "" {
		t.Fatal("the group does not go on where it was:", code, out)
	}
	if code, out, _ := run1(t, "", "-b", at, "-Q", "-t", "t:0:-1"); code != 0 || out != "t [0] offset 2\n" {
		t.Fatal(code, out)
	}
}
