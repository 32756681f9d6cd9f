package conf

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Where Headrace differs from Apache Kafka 4.3.1 on purpose.
var (
	otherDefault = map[string]string{
		"node.id":                   "Kafka has none; one node needs no other",
		"process.roles":             "Kafka has none; a node is both",
		"controller.listener.names": "Kafka has none; a single node opens no controller listener",
		"listeners":                 "Kafka listens on every interface",
		"log.dir":                   "Kafka's lies in /tmp, from where systems delete",

		"broker.heartbeat.interval.ms": "a silent node is replaced in three seconds, not nine",
		"broker.session.timeout.ms":    "a silent node is replaced in three seconds, not nine",
	}
	otherUpdate = map[string]string{
		"listeners":                         "they open at the start",
		"listener.security.protocol.map":    "listeners open at the start",
		"num.recovery.threads.per.data.dir": "it counts at the start alone",
		"num.replica.fetchers":              "it counts at the start alone",
	}
	// Topic keys that are not there; anything else of Kafka's is.
	noTopicKey = []string{"remote.", "local.retention."}
	// Keys that Kafka shows and that were not written down when it was asked; their types and defaults are in the table of keys.
	unrecorded = slices.Concat(brokerCluster, brokerReplicas, topicThrottles, brokerConsumerGroups, brokerStreamsGroups, brokerShareGroups, brokerShareCoordinator, brokerVerification)
	// Keys inside Kafka that its documentation does not show.
	noBrokerKey = []string{"internal."}
)

// The definitions agree with those of Apache Kafka 4.3.1 in type, default and update mode, and every key of Kafka's is either
// defined, accepted without effect, or refused.
func TestKeysAgreeWithKafka(t *testing.T) {
	text, err := os.ReadFile("testdata/kafka-4.3.1-keys.tsv")
	if err != nil {
		t.Fatal(err)
	}
	kafkas := map[Scope]map[string]bool{ScopeTopic: {}, ScopeBroker: {}}
	for _, row := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		f := strings.Split(row, "\t")
		scope := map[string]Scope{"topic": ScopeTopic, "broker": ScopeBroker}[f[0]]
		kafkas[scope][f[1]] = true
		checkAgainstKafka(t, scope, f[1], f[2], f[3], f[4])
	}
	for scope, known := range kafkas {
		for _, d := range defsOf(scope) {
			if d.Own == known[d.Name] {
				t.Errorf("%s: Own is %v, and Kafka has it: %v", d.Name, d.Own, known[d.Name])
			}
		}
	}
}

func checkAgainstKafka(t *testing.T, scope Scope, name, kind, def, update string) {
	hasPrefix := func(p string) bool { return strings.HasPrefix(name, p) }
	d, ok := Lookup(scope, name)
	if scope == ScopeTopic && !ok {
		if !slices.ContainsFunc(noTopicKey, hasPrefix) {
			t.Errorf("topic key %s is missing", name)
		}
		return
	}
	if !ok {
		if _, known := legacyOf(name); !known && !slices.ContainsFunc(noBrokerKey, hasPrefix) {
			t.Errorf("broker key %s is neither defined nor accepted nor refused", name)
		}
		return
	}
	if _, twice := legacyOf(name); scope == ScopeBroker && twice {
		t.Errorf("broker key %s is both defined and legacy", name)
	}
	if d.Kind.String() != kind {
		t.Errorf("%s is %s, in Kafka %s", name, d.Kind, kind)
	}
	shown := d.Default
	if d.Null {
		shown = "null"
	}
	if (shown == def) == (otherDefault[name] != "" && scope == ScopeBroker) {
		t.Errorf("%s: default %q, in Kafka %q; listed as a difference: %q", name, shown, def, otherDefault[name])
	}
	if scope == ScopeBroker && (d.Update.String() == update) == (otherUpdate[name] != "") {
		t.Errorf("%s: %s, in Kafka %s; listed as a difference: %q", name, d.Update, update, otherUpdate[name])
	}
}

// oracle is what Apache Kafka 4.3.1 answered to DescribeConfigs and to changes, with its keys cut to those of Headrace.
type oracle struct {
	Overrides      map[string]string
	Topic          []oracleEntry
	Broker         []oracleEntry
	BrokerDefaults []oracleEntry
	CreatedTopic   []oracleEntry
	Probes         []struct {
		Scope                         Scope
		Resource, Key, Value, Message string
		Code                          int16
	}
}

type oracleEntry struct {
	Name      string
	Value     *string
	Source    Source
	Type      Kind
	ReadOnly  bool
	Sensitive bool
	Synonyms  []SynonymEntry
}

func readOracle(t *testing.T) oracle {
	t.Helper()
	text, err := os.ReadFile("testdata/kafka-4.3.1-describe.json")
	if err != nil {
		t.Fatal(err)
	}
	var o oracle
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// layers are the settings that the oracle ran with, as its own answer tells them.
func (o oracle) layers(t *testing.T) Layers {
	t.Helper()
	l := Layers{Broker: map[string]string{}, BrokerDefault: map[string]string{}}
	static := map[string]string{}
	for _, e := range o.Broker {
		for _, s := range e.Synonyms {
			switch s.Source {
			case SourceBroker:
				l.Broker[s.Name] = *s.Value
			case SourceBrokerDefault:
				l.BrokerDefault[s.Name] = *s.Value
			case SourceStatic:
				static[s.Name] = *s.Value
			}
		}
	}
	var err error
	if l.Static, err = NewStatic(static); err != nil {
		t.Fatal(err)
	}
	return l
}

func (o oracle) compare(t *testing.T, what string, want []oracleEntry, got []Entry) {
	t.Helper()
	have := map[string]Entry{}
	for _, e := range got {
		have[e.Name] = e
	}
	for _, w := range want {
		g, ok := have[w.Name]
		if !ok {
			t.Errorf("%s: %s is missing", what, w.Name)
			continue
		}
		delete(have, w.Name)
		if otherDefault[w.Name] != "" && what == "broker" {
			g.Synonyms = slices.DeleteFunc(g.Synonyms, isDefault)
			w.Synonyms = slices.DeleteFunc(w.Synonyms, isDefault)
			if w.Source == SourceDefault {
				w.Value = g.Value
			}
		}
		if otherUpdate[w.Name] != "" {
			w.ReadOnly = g.ReadOnly
		}
		if w.Type == 0 {
			w.Type = g.Kind // an answer to CreateTopics has none
		}
		if w.Name == "broker.id" {
			w.Synonyms = g.Synonyms
		}
		e := oracleEntry{g.Name, g.Value, g.Source, g.Kind, g.ReadOnly, g.Sensitive, g.Synonyms}
		if !reflect.DeepEqual(e, w) && !(len(e.Synonyms) == 0 && len(w.Synonyms) == 0 && sameButSynonyms(e, w)) {
			t.Errorf("%s: %s\n got %s\nwant %s", what, w.Name, asJSON(e), asJSON(w))
		}
	}
	for name := range have {
		if d, _ := Lookup(ScopeBroker, name); !d.Own && !slices.ContainsFunc(unrecorded, func(u Def) bool { return u.Name == name }) {
			t.Errorf("%s: %s is shown, and not by Kafka", what, name)
		}
	}
}

func isDefault(s SynonymEntry) bool { return s.Source == SourceDefault }

func sameButSynonyms(a, b oracleEntry) bool {
	a.Synonyms, b.Synonyms = nil, nil
	return reflect.DeepEqual(a, b)
}

func asJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func TestDescribeAnswersAsKafka(t *testing.T) {
	o := readOracle(t)
	l := o.layers(t)
	all := Include{Synonyms: true}
	o.compare(t, "topic", o.Topic, Describe(ScopeTopic, "t2", o.Overrides, l, all))
	o.compare(t, "broker", o.Broker, Describe(ScopeBroker, "1", nil, l, all))
	o.compare(t, "broker defaults", o.BrokerDefaults, Describe(ScopeBroker, "", nil, l, all))
	o.compare(t, "created topic", o.CreatedTopic, EffectiveTopic(o.Overrides, l))
}

// The code and the words in which a bad change is refused are those of Apache Kafka, whose tools print them.
func TestChangesAreRefusedInKafkasWords(t *testing.T) {
	o := readOracle(t)
	for _, p := range o.Probes {
		var err error
		if p.Scope == ScopeTopic {
			err = CheckTopic(map[string]string{p.Key: p.Value}, Layers{})
		} else {
			err = CheckBroker(p.Resource != "", map[string]string{p.Key: p.Value})
		}
		var code int16
		message := ""
		if err != nil {
			var k *kerr.Error
			if !errors.As(err, &k) {
				t.Fatalf("%s=%s: %v has no protocol code", p.Key, p.Value, err)
			}
			code, message = k.Code, err.Error()
		}
		want := strings.TrimPrefix(p.Message, "requirement failed: ") // a word of Scala's
		if code != p.Code || message != want {
			t.Errorf("%s %s=%q:\n got %d %s\nwant %d %s", p.Resource, p.Key, p.Value, code, message, p.Code, want)
		}
	}
}
