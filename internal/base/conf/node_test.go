package conf

import (
	"strings"
	"testing"
	"time"
)

func TestAnEmptyFileGivesANodeOnLoopback(t *testing.T) {
	n, err := NewNode(Layers{})
	if err != nil {
		t.Fatal(err)
	}
	if n.ID != 1 || n.Listeners[0].String() != "PLAINTEXT://127.0.0.1:9092" || n.Advertised[0] != n.Listeners[0] || n.LogDirs[0] != "headrace-data" || n.MetadataLogDir != "headrace-data" {
		t.Errorf("%+v", n)
	}
	if n.Durability != DurabilityFlush || n.FlushMethod != FlushAuto || n.Network.RequestMemory != 128<<20 || n.Groups.OffsetsRetention != 7*24*time.Hour {
		t.Errorf("%+v", n)
	}
}

func TestNodeReadsItsFile(t *testing.T) {
	s := mustParse(t, "a.yaml", `
broker.id: 5
listeners: ["external://0.0.0.0:19092", "INTERNAL://[::1]:0", "CTL://:9093"]
advertised.listeners: "EXTERNAL://kafka.example.com:443"
listener.security.protocol.map: "EXTERNAL:plaintext, INTERNAL:PLAINTEXT,CTL:PLAINTEXT"
controller.listener.names: ctl
controller.quorum.voters: 5@localhost:9093
log.dirs: [/a, /b]
durability: os
flush.method: syncfs
socket.request.max.bytes: 200000000
`)
	n, err := NewNode(Layers{Static: s})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range append(append(n.Listeners, n.Advertised...), n.Controllers...) {
		got = append(got, l.String())
	}
	want := "EXTERNAL://0.0.0.0:19092 INTERNAL://[::1]:0 EXTERNAL://kafka.example.com:443 INTERNAL://[::1]:0 CTL://:9093"
	if strings.Join(got, " ") != want {
		t.Errorf("listeners %s\nwant %s", got, want)
	}
	if n.ID != 5 || n.LogDirs[1] != "/b" || n.Durability != DurabilityOS || n.FlushMethod != FlushSyncfs || n.Network.RequestMemory != 200000000 {
		t.Errorf("%+v", n)
	}
}

func TestNodesThatCannotBeAreRefused(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"node.id=1\nbroker.id=2", "node.id=1 and broker.id=2 differ"},
		{"process.roles=", "process.roles is empty"},
		{"process.roles=broker", "process.roles=broker needs controllers"},
		{"process.roles=broker\ncontroller.quorum.voters=1@a:1,2@b:1,3@c:1", "names this node (1), which has process.roles=broker"},
		{"process.roles=broker\ncontroller.listener.names=PLAINTEXT\ncontroller.quorum.bootstrap.servers=a:1", "has no listener for controllers"},
		{"process.roles=controller\nlisteners=PLAINTEXT://:1,SSL://:2\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:PLAINTEXT\ncontroller.listener.names=SSL",
			"listeners has PLAINTEXT://:1, which controller.listener.names does not name"},
		{"process.roles=controller\nlisteners=", "listeners is empty"},
		{"listeners=9092", `listeners: "9092" is not NAME://host:port`},
		{"listeners=PLAINTEXT://h:99999", "the port must be a number up to 65535"},
		{"listeners=PLAINTEXT://a:1,PLAINTEXT://a:2", "the name PLAINTEXT comes twice"},
		{"listeners=PLAINTEXT://:1,SSL://:1\n", "the address :1 comes twice"},
		{"listeners=EXTERNAL://:1", "listener.security.protocol.map has no protocol for the listener EXTERNAL"},
		{"listener.security.protocol.map=PLAINTEXT:TLS", `"PLAINTEXT:TLS" is not NAME:PROTOCOL`},
		{"listeners=PLAINTEXT://:1\ncontroller.listener.names=PLAINTEXT", "listeners has no listener for clients"},
		{"listeners=", "listeners has no listener for clients"},
		{"advertised.listeners=PLAINTEXT://0.0.0.0:1", "clients cannot connect to 0.0.0.0"},
		{"advertised.listeners=OTHER://h:1", "advertised.listeners names OTHER, which is not one of listeners"},
		{"inter.broker.listener.name=OTHER", "inter.broker.listener.name=OTHER is not one of listeners"},
		{"controller.quorum.voters=1@a:1,2@b:1", "names 2 nodes: make it 1, 3 or 5"},
		{"controller.quorum.voters=1@a:1,2@b:1,3@c:1", "names several nodes and there is no cluster.id"},
		{"controller.quorum.voters=1@a:1,2@b:1,2@c:1\ncluster.id=c", "the id or the address of 2@c:1 comes twice"},
		{"controller.quorum.voters=2@a:1,3@b:1,4@c:1\ncluster.id=c", "does not name this node (1)"},
		{"controller.quorum.voters=a:1", `"a:1" is not id@host:port`},
		{"controller.quorum.voters=1@:1", `"1@:1" is not id@host:port`},
		{"controller.quorum.bootstrap.servers=other", `"other" is not host:port`},
		{"controller.quorum.bootstrap.servers=other:0", `"other:0" is not host:port`},
		{"broker.heartbeat.interval.ms=2000", "broker.session.timeout.ms=3000 is less than two heartbeats"},
		{"log.dir=", "log.dirs is empty"},
		{"cordoned.log.dirs=*", "can be set only while the node runs"},
		{"queued.max.request.bytes=1000", "the largest request would never fit"},
		{"group.min.session.timeout.ms=9000\ngroup.max.session.timeout.ms=8000", "group.min.session.timeout.ms is more than"},
		{"default.replication.factor=0", "default.replication.factor must be at least 1"},
	} {
		_, err := NewNode(Layers{Static: mustParse(t, "a.properties", c.file)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got %v\nwant %s", c.file, err, c.want)
		}
	}
}

func TestNodeReadsItsCluster(t *testing.T) {
	s := mustParse(t, "a.properties", `
node.id=2
listeners=OUT://:9092,IN://:9094
listener.security.protocol.map=OUT:PLAINTEXT,IN:PLAINTEXT
inter.broker.listener.name=in
cluster.id=orders
controller.quorum.voters=1@a:9094,2@b:9094,3@c:9094
controller.quorum.bootstrap.servers=a:9094, b:9094
leader.imbalance.check.interval.seconds=9223372036854775807
replica.selector.class=`+RackAwareSelector)
	n, err := NewNode(Layers{Static: s})
	if err != nil {
		t.Fatal(err)
	}
	c := n.Cluster
	if c.ID != "orders" || len(c.Voters) != 3 || c.Voters[2] != (Voter{3, "c:9094"}) || c.InterBroker != 1 || strings.Join(c.Join, " ") != "a:9094 b:9094" || c.MaxVoters != 3 {
		t.Errorf("%+v", c)
	}
	if c.Session != 3*time.Second || c.Heartbeat != 500*time.Millisecond || c.BalanceInterval != Forever || !n.Replicas.RackAware || n.Replicas.Lag != 30*time.Second {
		t.Errorf("%+v %+v", c, n.Replicas)
	}
	alone, err := NewNode(Layers{Static: mustParse(t, "b.properties", "controller.quorum.voters=1@localhost:9093")})
	if err != nil || alone.Cluster.Voters != nil {
		t.Errorf("a list of this node alone: %+v, %v", alone.Cluster, err)
	}
	if _, err := s.With("replica.selector.class", "com.example.Selector"); err == nil {
		t.Error("a selector that is a Java class was accepted")
	}
	if _, err := s.With("headrace.quorum.voters.max", "4"); err == nil {
		t.Error("an even number of voters was accepted")
	}
}

func TestANodeOfOneRoleReadsTheFileOfItsRole(t *testing.T) {
	const shared = `
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
cluster.id=orders
controller.quorum.voters=1@a:9093,2@b:9093,3@c:9093
`
	controller, err := NewNode(Layers{Static: mustParse(t, "a.properties", shared+"process.roles=controller\nlisteners=CONTROLLER://a:9093")})
	if err != nil || controller.Broker || len(controller.Listeners) != 1 || controller.Advertised[0].String() != "CONTROLLER://a:9093" ||
		len(controller.Controllers) != 0 || len(controller.Cluster.Voters) != 3 || controller.Cluster.InterBroker != 0 {
		t.Errorf("%+v, %v", controller, err)
	}
	broker, err := NewNode(Layers{Static: mustParse(t, "a.properties", shared+"process.roles=broker\nnode.id=4\nlisteners=PLAINTEXT://d:9092")})
	if err != nil || broker.Controller || strings.Join(broker.Cluster.Join, " ") != "a:9093 b:9093 c:9093" || broker.Cluster.Voters != nil {
		t.Errorf("%+v, %v", broker, err)
	}
	both, err := NewNode(Layers{Static: mustParse(t, "a.properties", shared+"process.roles=broker,controller\nlisteners=PLAINTEXT://:9092,CONTROLLER://0.0.0.0:9093")})
	if err != nil || !both.Broker || !both.Controller || both.AdvertisedControllers[0].String() != "CONTROLLER://:9093" {
		t.Errorf("%+v, %v", both, err)
	}
}

func TestTopicsTakeTheStrongestSettingInItsUnit(t *testing.T) {
	static := mustParse(t, "a.properties", "log.retention.hours=2\nlog.cleanup.policy=compact")
	l := Layers{Static: static}
	c := TopicLog(nil, l)
	if c.Retention.Age != 2*time.Hour || !c.Retention.Compact || c.Retention.Delete || c.Segments.Age != 7*24*time.Hour || c.Segments.Bytes != 1<<30 {
		t.Errorf("%+v", c)
	}
	l.BrokerDefault = map[string]string{"log.retention.ms": "5", "durability": "os", "compression.type": "zstd"}
	l.Broker = map[string]string{"compression.type": "nonsense of a later version"}
	c = TopicLog(map[string]string{"cleanup.policy": "", "internal.segment.bytes": "4096", "retention.ms": "also nonsense"}, l)
	if c.Retention.Age != 5*time.Millisecond || c.Retention.Compact || c.Durability != DurabilityOS || c.Segments.Bytes != 4096 || c.Messages.Compression != "zstd" {
		t.Errorf("%+v", c)
	}
}

func TestTimesWithoutALimitStayWithoutOne(t *testing.T) {
	c := TopicLog(map[string]string{"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}, Layers{})
	if c.Retention.Age >= 0 || c.Messages.TimestampBefore != Forever || c.Messages.TimestampAfter != time.Hour || c.Compaction.MaxLag != Forever || c.Messages.TimestampType != LogAppendTime {
		t.Errorf("%+v", c)
	}
	for _, hours := range []string{"-1", "-7"} {
		if c := TopicLog(nil, Layers{Static: mustParse(t, "a.properties", "log.retention.hours="+hours)}); c.Retention.Age >= 0 {
			t.Errorf("log.retention.hours=%s keeps records for %s", hours, c.Retention.Age)
		}
	}
}

func TestTopicSettingsAreCheckedTogether(t *testing.T) {
	err := CheckTopic(map[string]string{"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"}, Layers{})
	if err == nil || err.Error() != "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)" {
		t.Error(err)
	}
}

func TestNearestFindsSlipsOfThePen(t *testing.T) {
	for slip, want := range map[string]string{
		"retention_ms": "retention.ms", "cleanup-policy": "cleanup.policy", "retnetion.ms": "retention.ms", "max.messages.bytes": "max.message.bytes", "durabilty": "durability",
	} {
		if got := Nearest(ScopeTopic, slip); got != want {
			t.Errorf("nearest to %s is %s, want %s", slip, got, want)
		}
	}
	if got := Nearest(ScopeClientMetrics, "x"); got != "" {
		t.Errorf("nearest of no keys is %q", got)
	}
	_ = Nearest(ScopeBroker, strings.Repeat("log.", 1<<16))
}

func TestListsAndUpdateModesAreKnown(t *testing.T) {
	if !IsList(ScopeTopic, "cleanup.policy") || IsList(ScopeTopic, "retention.ms") || IsList(ScopeTopic, "no.such") {
		t.Error("IsList")
	}
	if Updatable("log.retention.ms") != ClusterWide || Updatable("log.dirs") != ReadOnly || Updatable("no.such") != ReadOnly {
		t.Error("Updatable")
	}
	if err := CheckBroker(false, map[string]string{"sasl.jaas.config": "x"}); err == nil || !strings.Contains(err.Error(), "sasl.jaas.config cannot be set") {
		t.Error(err)
	}
}
