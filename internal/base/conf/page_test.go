package conf

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var write = flag.Bool("write", false, "write docs/configuration.md anew")

const page = "../../../docs/configuration.md"

// docs/configuration.md is made from the definitions: go generate ./internal/base/conf
func TestConfigurationPageIsUpToDate(t *testing.T) {
	want := configurationPage()
	if *write {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the definitions say: run go generate ./internal/base/conf", page)
	}
}

const pageHead = `# Configuration

<!-- Made from internal/base/conf by go generate ./internal/base/conf. Do not edit. -->

` + "`headrace server --config FILE`" + ` reads one file, and over it the environment; either is enough. The file's ending tells its form.

- ` + "`.properties`" + `: Apache Kafka's server.properties, in UTF-8. ` + "`${name}`" + ` stands for itself; nothing is replaced. Where a key comes
  twice, the last counts.
- ` + "`.yaml`, `.yml`" + `: the same keys, flat (` + "`log.dirs: /data`" + `) or nested, the names joined by points (` + "`log: {dirs: [/data]}`" + `). A list
  stands for Kafka's comma-separated one. No anchors, one document.

An unknown key stops the start with its file, line and the nearest known key. Further down, topic and broker keys can be changed
while the node runs, with Kafka's ` + "`kafka-configs`" + ` or any admin client; of several settings the first of these counts: the topic's
own, the broker's own, the default of all brokers, the environment, the file, the default here.

` + "`headrace config check --config FILE`" + ` tells everything that is wrong with a configuration, by line, and with the machine for it, and
starts nothing. ` + "`headrace config explain KEY`" + ` tells what is below, the value in force and where it comes from; with ` + "`-b`" + `, of a
running node.

## Environment

A variable ` + "`KAFKA_...`" + ` sets a node key, as in Apache Kafka's container image: capitals, ` + "`_`" + ` for a point, ` + "`__`" + ` for an underscore,
` + "`___`" + ` for a dash (` + "`KAFKA_LOG_DIRS`" + ` sets log.dirs). What such a start should know:

- ` + "`HEADRACE_CONFIG`" + ` names the file where ` + "`--config`" + ` does not. The image's ` + "`/mnt/shared/config`" + ` and ` + "`/etc/kafka/secrets`" + ` are not looked at.
- ` + "`CLUSTER_ID`" + ` (or ` + "`KAFKA_CLUSTER_ID`" + `) is the id of a new cluster. Log dirs that belong to a cluster stay with it.
- ` + "`KAFKA_ADVERTISED_LISTENERS`" + ` without any listeners listens on the same ports of every interface.
- A variable that sets no known key is shown at the start and has no effect, since the environment is shared with other programs.
  Keys that are refused in a file are refused here too, but for empty ones.
- ` + "`KAFKA_HEAP_OPTS`, `KAFKA_OPTS`, `KAFKA_JMX_*`, `KAFKA_LOG4J_*`" + ` and the like have no effect. What Kubernetes and Docker set for a service
  named kafka (` + "`KAFKA_PORT=tcp://...`, `KAFKA_SERVICE_HOST`" + `) is passed over.
- Values are taken as they are, without the escapes of a properties file.
- A start by the environment prints the line that testcontainers and others wait for (` + "`Transitioning from RECOVERY to RUNNING`" + `). The
  variables of testcontainers' Kafka modules start a node unchanged.

## Changes while the node runs

SIGHUP (` + "`systemctl reload headrace`" + `) reads the file again; variables stay those of the start. Cluster-wide keys take effect at once; each other key that
has changed is named in the log as what needs a restart. A configuration with an error changes nothing and says so. A key that was
set by an admin client goes on to win over the file; the log says that too.
`

func configurationPage() string {
	var b strings.Builder
	b.WriteString(pageHead)
	b.WriteString("\n## Topic keys\n\nEach can be changed at any time. Node key is what gives the default where the topic sets nothing.\n\n")
	b.WriteString("| key | type | default | values | node key | meaning |\n|---|---|---|---|---|---|\n")
	for _, d := range topicDefs {
		if d.Internal {
			continue
		}
		var names []string
		for _, s := range d.Synonyms {
			names = append(names, "`"+s.Name+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", d.Name, kindWord(d), defaultWord(d), d.Values(), strings.Join(names, ", "), d.Doc)
	}
	b.WriteString("\n## Node keys\n\nread-only keys come from the file; cluster-wide ones can also be set while the node runs, for one node or for all.\n\n")
	b.WriteString("| key | type | default | values | update | meaning |\n|---|---|---|---|---|---|\n")
	for _, d := range brokerDefs {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", d.Name, kindWord(d), defaultWord(d), d.Values(), d.Update, d.Doc)
	}
	b.WriteString("\n## Group keys\n\nEach can be set for one group of the consumer protocol, or share group, at any time (`headrace config set group/NAME`). Node key is what gives the default where the group sets nothing.\n\n")
	b.WriteString("| key | type | default | values | node key | meaning |\n|---|---|---|---|---|---|\n")
	for _, d := range groupDefs {
		node := "–"
		if len(d.Synonyms) > 0 {
			node = "`" + d.Synonyms[0].Name + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", d.Name, kindWord(d), defaultWord(d), d.Values(), node, d.Doc)
	}
	b.WriteString("\n## Accepted without effect\n\nThese keys of Apache Kafka's do no harm and nothing here. A start shows a line for each; DescribeConfigs does not list them.\n\n")
	legacyTable(&b, false)
	b.WriteString("\n## Refused\n\nThese stop the start, because a node must not run without a protection or a limit that its file asks for. Some may be\nset to the value that is the case anyway.\n\n")
	legacyTable(&b, true)
	b.WriteString(differences())
	return b.String()
}

func legacyTable(b *strings.Builder, refused bool) {
	b.WriteString("| keys | why |\n|---|---|\n")
	for _, l := range legacies {
		if l.refused != refused {
			continue
		}
		var names []string
		for _, p := range l.prefixes {
			names = append(names, "`"+p+"*`")
		}
		for _, n := range l.names {
			names = append(names, "`"+n+"`")
		}
		why := l.why
		if len(l.off) > 0 {
			why += "; accepted: " + offWords(l.off)
		}
		fmt.Fprintf(b, "| %s | %s |\n", strings.Join(names, ", "), why)
	}
}

func offWords(off []string) string {
	var words []string
	for _, v := range off {
		if v == "" {
			v = "empty"
		}
		words = append(words, v)
	}
	return strings.Join(words, ", ")
}

func differences() string {
	var b strings.Builder
	b.WriteString("\n## Different from Apache Kafka 4.3.1\n\nTypes, defaults, update modes, sources and synonyms are Kafka's (a test compares them with what a broker answered), but for these:\n\n")
	for _, d := range brokerDefs {
		if why := otherDefault[d.Name]; why != "" {
			fmt.Fprintf(&b, "- default of `%s`: %s.\n", d.Name, why)
		}
		if why := otherUpdate[d.Name]; why != "" {
			fmt.Fprintf(&b, "- `%s` is read-only: %s.\n", d.Name, why)
		}
	}
	b.WriteString("- An unknown broker key cannot be set while the node runs; Kafka keeps it for plugins.\n")
	b.WriteString("- A topic has no keys of tiered storage.\n")
	for _, d := range brokerDefs {
		if _, both := Lookup(ScopeTopic, d.Name); d.Own && both {
			fmt.Fprintf(&b, "- `%s` is Headrace's own key of topics and nodes.\n", d.Name)
		} else if d.Own {
			fmt.Fprintf(&b, "- `%s` is Headrace's own node key.\n", d.Name)
		}
	}
	return b.String()
}

func kindWord(d Def) string { return strings.ToLower(d.Kind.String()) }

func defaultWord(d Def) string {
	switch {
	case d.Null:
		return "none"
	case d.Default == "":
		return "empty"
	}
	return "`" + d.Default + "`"
}
