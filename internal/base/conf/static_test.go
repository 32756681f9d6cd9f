package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kafkasOwn has the keys and values of the server.properties that Apache Kafka 4 ships.
const kafkasOwn = `
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=2
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`

func mustParse(t *testing.T, name, text string) Static {
	t.Helper()
	s, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKafkasOwnFileIsAccepted(t *testing.T) {
	s := mustParse(t, "server.properties", kafkasOwn)
	n, err := NewNode(Layers{Static: s})
	if err != nil {
		t.Fatal(err)
	}
	if len(n.Listeners) != 1 || n.Listeners[0].Address() != ":9092" || n.Advertised[0].Address() != "localhost:9092" || len(n.Controllers) != 1 {
		t.Errorf("listeners %v, advertised %v, controllers %v", n.Listeners, n.Advertised, n.Controllers)
	}
	if len(s.Warnings()) != 6 || s.Warnings()[1] != "server.properties:11: num.io.threads has no effect: Headrace has no request handler pool" {
		t.Errorf("warnings:\n%s", strings.Join(s.Warnings(), "\n"))
	}
}

func TestPropertiesAreReadAsJavaDoes(t *testing.T) {
	s := mustParse(t, "a.PROPERTIES", "# a comment that ends in \\\r\nnode.id : 7\r\n"+
		"   ! another\nlog.dirs = /a,\\\n     /b\\u0041\\\n\\ c\nbroker.rack\tr=1 ${HOME}\n"+
		"num.partitions=\\\n4\nlog.retention\\.hours=5\nlog.roll.hours 6\nadvertised.listeners=PLAINTEXT\\://h\\:1\nlog.dir=c:\\\\data")
	for key, want := range map[string]string{
		"node.id": "7", "log.dirs": "/a,/bA c", "broker.rack": "r=1 ${HOME}", "num.partitions": "4", "log.retention.hours": "5",
		"log.roll.hours": "6", "advertised.listeners": "PLAINTEXT://h:1", "log.dir": `c:\data`,
	} {
		if got, _ := s.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func TestYAMLKeysMayBeFlatOrNested(t *testing.T) {
	s := mustParse(t, "a.yaml", `
node.id: 0100
log:
  dirs: [/a, "/b"]
  retention: {hours: 5}
  cleanup.policy:
    - compact
    - delete
auto.create.topics.enable: FALSE
broker.rack: ""
`)
	for key, want := range map[string]string{
		"node.id": "0100", "log.dirs": "/a,/b", "log.retention.hours": "5", "log.cleanup.policy": "compact,delete",
		"auto.create.topics.enable": "FALSE", "broker.rack": "",
	} {
		if got, ok := s.Get(key); got != want || !ok {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		mustParse(t, "a.yml", empty)
	}
}

func TestBadFilesAreRefusedInOneLineThatNamesThePlace(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"a.txt", "", `a.txt: cannot tell the form of the file: name it .properties, .yaml or .yml`},
		{"a.properties", "\n#\nnum.partitons=3", `a.properties:3: unknown key "num.partitons": did you mean "num.partitions"?`},
		{"a.properties", "NUM_PARTITIONS=3", `a.properties:1: unknown key "NUM_PARTITIONS": did you mean "num.partitions"?`},
		{"a.properties", "log.dirs=/a,\\\n /b\nretention.ms=3", `a.properties:3: "retention.ms" is a key of topics; the node's default for it is "log.retention.ms"`},
		{"a.properties", "num.partitions=many", `a.properties:1: Invalid value many for configuration num.partitions: Not a number of type INT`},
		{"a.properties", "num.partitions=0", `a.properties:1: Invalid value 0 for configuration num.partitions: Value must be at least 1`},
		{"a.properties", "durability=fsync", `a.properties:1: Invalid value fsync for configuration durability: String must be one of: flush, os`},
		{"a.properties", "broker.rack=\\u00zz", `a.properties:1: invalid unicode literal`},
		{"a.properties", "broker.rack=\xff", `a.properties:1: the file is not UTF-8 text`},
		{"a.yaml", "node.id: 1\nlog:\n  dirsz: /a", `a.yaml:3: unknown key "log.dirsz": did you mean "log.dirs"?`},
		{"a.yaml", "node.id: 1\nnode:\n  id: 2", `a.yaml:3: node.id is already set in line 1`},
		{"a.yaml", "node.id:", `a.yaml:1: node.id has no value: leave the line out, or write ""`},
		{"a.yaml", "a: &x 1\nb: *x", `a.yaml:2: aliases are not supported`},
		{"a.yaml", "log.dirs: ['a,b']", `a.yaml:1: an element of the list log.dirs must be plain text without a comma`},
		{"a.yaml", "- a", `a.yaml:1: the file is not a map of keys to values`},
		{"a.yaml", "a: [", `a.yaml:1: not YAML: did not find expected node content`},
		{"a.yaml", "node.id: 1\n---\nnode.id: 2", `a.yaml:2: the file holds a second YAML document`},
		{"a.yaml", "node.id: 1\n? {a: b}\n: c", `a.yaml:2: a key must be plain text`},
	} {
		_, err := Parse(c.file, []byte(c.text))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s %q:\n got %v\nwant %s", c.file, c.text, err, c.want)
		}
	}
}

// A node never starts without a protection or a limit that its file asks for.
func TestSecurityKeysAreRefused(t *testing.T) {
	for _, setting := range []string{
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:admin", "ssl.keystore.location=/k", "ssl.client.auth=required",
		"sasl.enabled.mechanisms=PLAIN", "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=x", "security.inter.broker.protocol=SASL_SSL",
		"delegation.token.secret.key=hunter2", "principal.builder.class=x", "create.topic.policy.class.name=x", "client.quota.callback.class=x",
		"max.connections.per.ip.overrides=10.0.0.1:5", "max.connection.creation.rate=5", "remote.log.storage.system.enable=true", "zookeeper.set.acl=true",
		"config.providers=vault", "config.providers.vault.class=x", "connections.max.reauth.ms=1", "allow.everyone.if.no.acl.found=true", "ssl.no.such.key=1",
	} {
		_, err := Parse("a.properties", []byte(setting))
		if err == nil || !strings.Contains(err.Error(), " is refused: ") {
			t.Errorf("%s: %v", setting, err)
		}
		if _, secret, _ := strings.Cut(setting, "="); err != nil && len(secret) > 3 && strings.Contains(err.Error(), secret) {
			t.Errorf("the value is in the message: %v", err)
		}
	}
	for _, protocol := range []string{"SSL", "SASL_PLAINTEXT", "SASL_SSL"} {
		s := mustParse(t, "a.properties", "listeners="+protocol+"://:9092")
		if _, err := NewNode(Layers{Static: s}); err == nil || !strings.Contains(err.Error(), "not there yet: only PLAINTEXT is") {
			t.Errorf("listener of protocol %s: %v", protocol, err)
		}
	}
}

// A setting for one listener is as harmless as the same for all, and settings of Java plug-ins do nothing.
func TestKeysOfListenersAndPluginsAreKnown(t *testing.T) {
	for setting, want := range map[string]string{
		"listener.name.external.num.network.threads=3": "listener.name.external.num.network.threads has no effect: each connection",
		"confluent.support.metrics.enable=false":       "confluent.support.metrics.enable has no effect: it configures a Java plug-in",
		"rsm.config.bucket=x":                          "rsm.config.bucket has no effect: tiered storage",
		"listener.name.external.max.connections=5":     "listener.name.external.max.connections is refused: settings for one listener are not there yet; set max.connections for all",
		"listener.name.external.ssl.keystore.type=PEM": "listener.name.external.ssl.keystore.type is refused: encryption",
		"opa.authorizer.url=http://x":                  "opa.authorizer.url is refused: it configures an authorizer",
	} {
		s, err := Parse("a.properties", []byte(setting))
		got := strings.Join(s.Warnings(), "\n")
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, "a.properties:1: "+want) {
			t.Errorf("%s: %s", setting, got)
		}
	}
}

func TestRefusedKeysMaySayWhatIsTheCaseAnyway(t *testing.T) {
	s := mustParse(t, "a.properties", "authorizer.class.name=\nsecurity.inter.broker.protocol=PLAINTEXT\nremote.log.storage.system.enable=false")
	if len(s.Warnings()) != 3 {
		t.Errorf("warnings: %q", s.Warnings())
	}
}

func TestASecondSettingWinsAndIsTold(t *testing.T) {
	s := mustParse(t, "a.properties", "num.partitions=2\nnum.partitions=3")
	if v, _ := s.Get("num.partitions"); v != "3" || len(s.Warnings()) != 1 || s.Warnings()[0] != "a.properties:2: num.partitions is set a second time; line 1 no longer counts" {
		t.Errorf("num.partitions=%s, warnings %q", v, s.Warnings())
	}
}

func TestFilesAreReadFromDiskAndBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.properties")
	if _, err := ParseFile(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("node.id=9"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := ParseFile(path)
	if v, _ := s.Get("broker.id"); err != nil || v != "9" {
		t.Errorf("broker.id is %q, error %v", v, err)
	}
	if err := os.WriteFile(path, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseFile(path); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("huge file: %v", err)
	}
}

func FuzzParseProperties(f *testing.F) {
	f.Add([]byte("# x\nlog.dirs = /a,\\\n  /b\nnode.id:1\nlisteners PLAINTEXT://:9092"))
	f.Add([]byte("a\\\n\\\nb=c\\u0041\\"))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzFile(t, "a.properties", text) })
}

func FuzzParseYAML(f *testing.F) {
	f.Add([]byte("node.id: 1\nlog: {dirs: [/a, /b], retention: {ms: 5}}\n"))
	f.Add([]byte("a: &a [*a]\n? b\n: !!binary x\n<<: *a"))
	f.Fuzz(func(t *testing.T, text []byte) { fuzzFile(t, "a.yaml", text) })
}

// fuzzFile holds that any text is either refused in one line that names the file, or gives values that pass their own checks
// and a node or an error.
func fuzzFile(t *testing.T, name string, text []byte) {
	s, err := Parse(name, text)
	if err != nil {
		if !strings.HasPrefix(err.Error(), name+":") {
			t.Fatalf("the error does not name the file: %v", err)
		}
		return
	}
	for key, v := range s.values {
		if err := Check(ScopeBroker, key, v.text); err != nil {
			t.Fatalf("accepted: %v", err)
		}
	}
	if n, err := NewNode(Layers{Static: s}); err == nil && (len(n.Listeners) == 0 || len(n.Listeners) != len(n.Advertised) || len(n.LogDirs) == 0) {
		t.Fatalf("node without an address or a directory: %+v", n)
	}
	_ = TopicLog(nil, Layers{Static: s})
	_ = Describe(ScopeBroker, "1", nil, Layers{Static: s}, Include{Synonyms: true})
}

func TestADeviceIsNoConfigurationFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.properties")
	if err := os.Symlink(os.DevNull, path); err != nil {
		t.Skip(err)
	}
	if _, err := ParseFile(path); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("got %v", err)
	}
}
