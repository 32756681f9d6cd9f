package filter

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func record() *kgo.Record {
	return &kgo.Record{
		Topic: "orders", Partition: 2, Offset: 41, Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Key: []byte("k1"),
		Value:   []byte(`{"price": 12.5, "id": 9007199254740993, "tags": ["a", "b"], "none": null, "who": {"name": "Ann"}}`),
		Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("old")}, {Key: "trace", Value: []byte("new")}, {Key: "raw", Value: []byte{0xff}}, {Key: "null"}},
	}
}

func TestExpressionsOverRecords(t *testing.T) {
	for expression, want := range map[string]bool{
		"true":        true,
		"key == 'k1'": true,
		"key == null": false,
		"value.contains('price') && value.matches('\"id\": *9')": true,
		"json.price > 12":   true,
		"json.price > 12.5": false,
		"json.id == 9007199254740993 && json.id != 9007199254740992": true,
		"'b' in json.tags && size(json.tags) == 2":                   true,
		"json.none == null":                                      true,
		"has(json.who.name) && !has(json.who.age)":               true,
		"json.who.name.lowerAscii().startsWith('an')":            true,
		"headers.trace == 'new' && 'raw' in headers":             true,
		"headers.raw == b'\\xff'":                                true,
		"headers['null'] == null":                                true,
		"topic == 'orders' && partition == 2 && offset % 2 == 1": true,
		"timestamp >= timestamp('2026-01-02T00:00:00Z') && timestamp < timestamp('2026-01-03T00:00:00Z')": true,
		"timestamp.getHours() == 3": true,
	} {
		f, err := Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		got := f.Match(record())
		if n, first := f.Failures(); got != want || n != 0 {
			t.Errorf("%s: %v, %d failures, %v", expression, got, n, first)
		}
	}
	f, _ := Compile("value == null && key == b'\\xff'")
	if !f.Match(&kgo.Record{Key: []byte{0xff}}) {
		t.Error("null and bytes are not told from text")
	}
}

func TestAWrongExpressionIsToldWithItsColumn(t *testing.T) {
	for expression, want := range map[string]string{
		"key == ":            "column 8: Syntax error",
		"keey == 'a'":        "column 1: undeclared reference to 'keey'",
		"offset == 'a'":      "column 8: found no matching overload",
		"true &&\n  1 +":     "line 2, column 6: Syntax error",
		"size(topic)":        "the expression gives int, and true or false is wanted",
		"nosuch(key)":        "column 7: undeclared reference",
		"topic.matches('(')": "error",
	} {
		if _, err := Compile(expression); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", expression, err, want)
		}
	}
}

func TestARecordThatCannotBeJudgedIsCounted(t *testing.T) {
	for expression, want := range map[string]string{
		"json.price > 1 && json.missing": "no such key: missing",
		"json.tags":                      "neither true nor false",
		"json.who > 5":                   "no such overload",
	} {
		f, err := Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		first, second := f.Match(record()), f.Match(record())
		if first || second {
			t.Errorf("%s matches", expression)
		}
		if n, first := f.Failures(); n != 2 || !strings.Contains(first.Error(), want) || !strings.Contains(first.Error(), "record 41 of partition 2 of orders") {
			t.Errorf("%s: %d, %v", expression, n, first)
		}
	}
	for _, value := range []string{"no json", `{"a":1}}`, `{"a":1}]`, `{"a":1} 2`, ""} {
		f, _ := Compile("json.a == 1")
		if f.Match(&kgo.Record{Value: []byte(value)}) {
			t.Errorf("%s matches", value)
		}
		if _, first := f.Failures(); first == nil || !strings.Contains(first.Error(), "the value is not JSON") {
			t.Errorf("%s: %v", value, first)
		}
	}
}

// One expression cannot take for ever on one record.
func TestTheCostOfARecordIsBounded(t *testing.T) {
	f, err := Compile("json.all(a, json.all(b, json.all(c, json.all(d, a + b + c + d >= 0))))")
	if err != nil {
		t.Fatal(err)
	}
	f.Match(&kgo.Record{Value: []byte("[" + strings.Repeat("1,", 999) + "1]")})
	if _, first := f.Failures(); first == nil || !strings.Contains(first.Error(), "cost limit exceeded") {
		t.Errorf("%v", first)
	}
}
