package api

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/compatibility.md anew")

func TestCompatibilityPageIsCurrent(t *testing.T) {
	const page = "../../../docs/compatibility.md"
	want := Compatibility()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != want {
		t.Fatalf("%s is not what the table says (%v): run go generate ./internal/node/api", page, err)
	}
}
