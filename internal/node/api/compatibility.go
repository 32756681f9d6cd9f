package api

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

//go:generate go test -run TestShapesAreThoseOfKmsg|TestCompatibilityPageIsCurrent . -update

// Compatibility is the page docs/compatibility.md: what is served, as the table says it.
func Compatibility() string {
	var b strings.Builder
	b.WriteString(`# Which parts of the Kafka protocol are served

This page is made from the handler table (` + "`go generate ./internal/node/api`" + `); a test holds it current. The versions are
those that ApiVersions advertises, all of them complete but for what the notes say. A request of another key or version
closes the connection, as in Apache Kafka.

| API | key | versions | notes |
|---|---|---|---|
`)
	served := map[kmsg.Key]bool{}
	for _, e := range sorted((&Server{}).table()) {
		served[e.Key] = true
		fmt.Fprintf(&b, "| %s | %d | %s | %s |\n", e.Key.Name(), e.Key, versions(e.Min, e.Max), e.Note)
	}
	b.WriteString("\nNot served, and not advertised:\n")
	for k := kmsg.Key(0); k <= kmsg.MaxKey; k++ {
		if name := k.Name(); !served[k] && !retired(k) && name != "Unknown" {
			fmt.Fprintf(&b, "%s (%d),\n", name, k)
		}
	}
	return strings.TrimSuffix(b.String(), ",\n") + ".\n"
}

func versions(first, last int16) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d–%d", first, last)
}

// retired tells the keys that Apache Kafka 4 has no more.
func retired(k kmsg.Key) bool { return k >= kmsg.LeaderAndISR && k <= kmsg.ControlledShutdown }
