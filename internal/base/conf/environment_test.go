package conf

import (
	"slices"
	"strings"
	"testing"
)

// The keys are those that the class of Apache Kafka 4.3.1 makes which its container image runs.
func TestVariablesNameKeysAsInKafkasImage(t *testing.T) {
	for name, want := range map[string]string{
		"KAFKA_ABC_DEF": "abc.def", "KAFKA_ABC___DEF": "abc-def", "KAFKA_ABC__DEF": "abc_def", "KAFKA_A____B": "a-.b", "KAFKA_A_____B": "a-_b",
		"KAFKA_A______B": "a--b", "KAFKA_a_B": "a.b", "KAFKA_X_KAFKA_Y": "x.kafka.y", "KAFKA__X": ".x",
	} {
		if got := keyOf(name); got != want {
			t.Errorf("%s sets %s, want %s", name, got, want)
		}
	}
	for _, d := range brokerDefs {
		if got := keyOf(Variable(d.Name)); got != d.Name {
			t.Errorf("%s sets %s, want %s", Variable(d.Name), got, d.Name)
		}
	}
}

// testcontainers are the variables that testcontainers' modules for apache/kafka (Java) and confluent-local (Go) set.
var testcontainers = map[string][]string{
	"java": {
		"CLUSTER_ID=4L6g3nShT-eMCtK--X86sw", "KAFKA_LISTENERS=PLAINTEXT://:9092,BROKER://:9093,CONTROLLER://:9094",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TC-0:PLAINTEXT",
		"KAFKA_INTER_BROKER_LISTENER_NAME=BROKER", "KAFKA_PROCESS_ROLES=broker,controller", "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
		"KAFKA_NODE_ID=1", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1", "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS=1",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1", "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1",
		"KAFKA_LOG_FLUSH_INTERVAL_MESSAGES=9223372036854775807", "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0",
		"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:32768,BROKER://f00dfeed:9093", "KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9094",
		"KAFKA_HEAP_OPTS=-Xmx256m", "PATH=/bin", "HOSTNAME=f00dfeed",
	},
	"go": {
		"KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094",
		"KAFKA_REST_BOOTSTRAP_SERVERS=PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"KAFKA_INTER_BROKER_LISTENER_NAME=BROKER", "KAFKA_BROKER_ID=1", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS=1", "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1", "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1",
		"KAFKA_LOG_FLUSH_INTERVAL_MESSAGES=9223372036854775807", "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0", "KAFKA_NODE_ID=1",
		"KAFKA_PROCESS_ROLES=broker,controller", "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER", "KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9094",
		"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:32769,BROKER://f00dfeed:9092",
	},
}

func TestEnvironmentsOfTestcontainersMakeANode(t *testing.T) {
	for name, environ := range testcontainers {
		s, problems := Static{}.WithEnvironment(environ)
		if err := firstRefused(problems); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n, err := NewNode(Layers{Static: s})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(n.Listeners) != 2 || n.Advertised[0].Host != "localhost" || n.Groups.OffsetsPartitions != 1 || len(n.Controllers) != 1 {
			t.Errorf("%s: %+v", name, n)
		}
		if id := s.ClusterID(); name == "java" && id != "4L6g3nShT-eMCtK--X86sw" {
			t.Errorf("cluster id %q", id)
		}
	}
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	s := mustParse(t, "a.properties", "num.partitions=3\nlog.dirs=/file")
	s, problems := s.WithEnvironment([]string{"KAFKA_NUM_PARTITIONS=6", "KAFKA_CLUSTER_ID=MkU3OEVBNTcwNTJENDM2Qk"})
	if v, _ := s.Get("num.partitions"); v != "6" || len(problems) != 0 || s.ClusterID() != "MkU3OEVBNTcwNTJENDM2Qk" {
		t.Errorf("num.partitions=%s, cluster id %q, problems %v", v, s.ClusterID(), problems)
	}
	if at := s.Where("num.partitions"); at != "environment KAFKA_NUM_PARTITIONS" {
		t.Error(at)
	}
	if at := s.Where("log.dirs"); at != "a.properties:2" {
		t.Error(at)
	}
}

// Variables are shared with other programs, so what is not ours only warns; what asks for protection is refused all the same.
func TestVariablesThatSetNoKeyAreToldAndPassedOver(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"KAFKA_NUM_PARTITONS=3", `environment KAFKA_NUM_PARTITONS: it has no effect: there is no key "num.partitons"; did you mean KAFKA_NUM_PARTITIONS?`},
		{"KAFKA_RETENTION_MS=3", `environment KAFKA_RETENTION_MS: it has no effect: "retention.ms" is a key of topics; the node's default for it is "log.retention.ms"`},
		{"KAFKA_CFG_NODE_ID=3", "environment KAFKA_CFG_NODE_ID: it has no effect: name it KAFKA_NODE_ID"},
		{"KAFKA_HEAP_OPTS=-Xmx1g", "environment KAFKA_HEAP_OPTS: it has no effect: Headrace runs without a JVM"},
		{"KAFKA_PORT=9092", "environment KAFKA_PORT: port has no effect: Apache Kafka 3.0 removed it; use listeners and advertised.listeners"},
		{"KAFKA_SSL_KEYSTORE_LOCATION=", "environment KAFKA_SSL_KEYSTORE_LOCATION: ssl.keystore.location is empty and has no effect"},
		{"KAFKA_ZOOKEEPER_CONNECT=z:2181", "environment KAFKA_ZOOKEEPER_CONNECT: zookeeper.connect has no effect: Headrace keeps its metadata itself, without ZooKeeper"},
		{"KAFKA_PORT=tcp://10.0.0.1:9092", ""}, {"KAFKA_SERVICE_HOST=10.0.0.1", ""}, {"KAFKA_PORT_9092_TCP_ADDR=10.0.0.1", ""},
		{"KAFKA_UI_SERVICE_PORT_HTTP=80", ""}, {"KAFKA_VERSION=4.3.1", ""}, {"kafka_node_id=3", ""},
	} {
		s, problems := Static{}.WithEnvironment([]string{c.set})
		if got := strings.Join(s.Warnings(), "\n"); got != c.want || firstRefused(problems) != nil {
			t.Errorf("%s:\n got %s\nwant %s (%v)", c.set, got, c.want, problems)
		}
		if len(s.values) != 0 {
			t.Errorf("%s sets %v", c.set, s.values)
		}
	}
	for set, want := range map[string]string{
		"KAFKA_SSL_KEYSTORE_LOCATION=/k":       "environment KAFKA_SSL_KEYSTORE_LOCATION: ssl.keystore.location is refused",
		"KAFKA_AUTHORIZER_CLASS_NAME=x":        "environment KAFKA_AUTHORIZER_CLASS_NAME: authorizer.class.name is refused",
		"KAFKA_NUM_PARTITIONS=many":            "environment KAFKA_NUM_PARTITIONS: Invalid value many for configuration num.partitions",
		"KAFKA_LISTENER_NAME_X_SASL_Y=hunter2": "environment KAFKA_LISTENER_NAME_X_SASL_Y: listener.name.x.sasl.y is refused",
	} {
		_, problems := Static{}.WithEnvironment([]string{set})
		if err := firstRefused(problems); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", set, err)
		}
	}
}

func TestAnEnvironmentThatAdvertisesListensOnThosePorts(t *testing.T) {
	environ := []string{"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://kafka:9092,PLAINTEXT_HOST://localhost:29092"}
	s, _ := Static{}.WithEnvironment(environ)
	if got, _ := s.Get("listeners"); got != "PLAINTEXT://0.0.0.0:9092,PLAINTEXT_HOST://0.0.0.0:29092" {
		t.Errorf("listeners=%s", got)
	}
	s, _ = mustParse(t, "a.properties", "listeners=PLAINTEXT://127.0.0.1:1").WithEnvironment(environ)
	if got, _ := s.Get("listeners"); got != "PLAINTEXT://127.0.0.1:1" {
		t.Errorf("listeners=%s although the file sets it", got)
	}
}

// All that is wrong is told at once, each with its place.
func TestEveryProblemOfAFileIsTold(t *testing.T) {
	s, problems := Examine("a.properties", []byte("num.partitons=1\nnum.io.threads=8\nnode.id=1\nbroker.id=2\nsasl.x=1\nlisteners=9092\nmax.connections=-1\n"+
		"group.min.session.timeout.ms=9\ngroup.max.session.timeout.ms=8"))
	problems = append(problems, CheckNode(Layers{Static: s})...)
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String()[:len("a.properties:1")])
	}
	want := []string{"a.properties:1", "a.properties:2", "a.properties:5", "a.properties:7", "a.properties:3", "a.properties:6", "a.properties:8"}
	if !slices.Equal(lines, want) {
		t.Errorf("%v", problems)
	}
}
