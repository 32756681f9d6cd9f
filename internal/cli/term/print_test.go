package term

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type thing struct {
	Name   string            `json:"name"`
	Count  int64             `json:"count"`
	On     bool              `json:"isOn"`
	Ratio  float64           `json:"ratio"`
	Empty  []string          `json:"empty"`
	Nested map[string]string `json:"nested"`
	None   *int              `json:"none"`
}

func TestOneValueInThreeForms(t *testing.T) {
	things := []thing{{Name: "yes", Count: 1 << 60, On: true, Ratio: 0.5, Empty: []string{}, Nested: map[string]string{"a": "1", "b": "x: y\n#"}}, {Name: "a\u007f\u2028é😀"}}
	print := func(form Form) string {
		var out bytes.Buffer
		err := Env{Stdout: &out}.Print(form, things, Table(things,
			Col("name", func(x thing) any { return x.Name }), Col("is on", func(x thing) any { return x.On })))
		if err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	var fromJSON, fromYAML []map[string]any
	if err := json.Unmarshal([]byte(print(FormJSON)), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(print(FormYAML)), &fromYAML); err != nil {
		t.Fatalf("%v\n%s", err, print(FormYAML))
	}
	for i := range fromJSON { // numbers have other types
		fromJSON[i]["count"], fromYAML[i]["count"] = things[i].Count, int64(fromYAML[i]["count"].(int))
		fromYAML[i]["ratio"] = things[i].Ratio
		if m, ok := fromYAML[i]["nested"].(map[string]any); ok && len(m) == 0 {
			fromYAML[i]["nested"] = nil
		}
	}
	if !reflect.DeepEqual(fromJSON, fromYAML) {
		t.Errorf("JSON %v\nYAML %v", fromJSON, fromYAML)
	}
	if got, want := print(FormTable), "NAME  IS ON\nyes   true\n"; !strings.HasPrefix(got, want) {
		t.Errorf("table %q", got)
	}
}

func TestAnEmptyListIsOneInEveryForm(t *testing.T) {
	for form, want := range map[Form]string{FormJSON: "[]\n", FormYAML: "[]\n", FormTable: "NAME\n"} {
		var out bytes.Buffer
		if err := (Env{Stdout: &out}).Print(form, []thing{}, Table([]thing{}, Col("name", func(x thing) any { return x.Name }))); err != nil || out.String() != want {
			t.Errorf("%s: %v %q", form, err, out.String())
		}
	}
}
