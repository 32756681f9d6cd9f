package conf

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

// ClusterConfig is how a node finds the others of its cluster, and what they keep to together.
type ClusterConfig struct {
	ID        string   // of a new cluster; empty: one of its own making
	Voters    []Voter  // the first voters, by a list that is the same on all of them; empty: none is given
	Join      []string // host:port of nodes to ask for the cluster; empty: this node begins one
	MaxVoters int
	// InterBroker is the place in Listeners of the one that nodes use among themselves.
	InterBroker        int
	Session            time.Duration // broker.session.timeout.ms
	Heartbeat          time.Duration // broker.heartbeat.interval.ms
	ControlledShutdown bool
	BalanceLeaders     bool
	BalanceInterval    time.Duration // leader.imbalance.check.interval.seconds
	UncleanInterval    time.Duration // unclean.leader.election.interval.ms
}

// Voter is one entry of controller.quorum.voters.
type Voter struct {
	ID      kafka.NodeID
	Address string // host:port
}

// ReplicasConfig is how followers fetch, and when a leader takes them for behind.
type ReplicasConfig struct {
	Fetchers      int           // num.replica.fetchers, for each other node
	Lag           time.Duration // replica.lag.time.max.ms
	FetchMaxBytes int           // of one partition
	FetchMinBytes int
	ResponseBytes int
	FetchWait     time.Duration
	FetchBackoff  time.Duration
	RackAware     bool // replica.selector.class: consumers are sent to a replica in their rack
	Throttle      ThrottleConfig
	// MoveBytesPerSecond bounds what is copied into each log dir for replicas that move there.
	MoveBytesPerSecond float64
}

// ThrottleConfig bounds what is replicated of the partitions that a topic's throttles name (KIP-73).
type ThrottleConfig struct {
	Leader   int64 // bytes a second that this node sends; leader.replication.throttled.rate
	Follower int64 // bytes a second that this node fetches; follower.replication.throttled.rate
	Samples  int   // replication.quota.window.num
	Sample   time.Duration
}

// RackAwareSelector is the one replica.selector.class: Headrace has it built in.
const RackAwareSelector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"

// cordonedDirs is the key of a node that is to be emptied.
const cordonedDirs = "cordoned.log.dirs"

var brokerCluster = []Def{
	{Name: "cluster.id", Kind: String, Null: true, Own: true,
		Doc: "Id of the cluster. Needed with controller.quorum.voters, the same on all nodes; otherwise a new cluster makes one itself, and a node that joins takes that of the cluster. The variable CLUSTER_ID stands for it."},
	{Name: "controller.listener.names", Kind: List, Default: "",
		Doc: "Names in listeners that are for controllers. A node with the role controller alone has no others, and all of its listeners are such where none is named. On a node of both roles they are opened where controller.quorum.voters names another node or controller.quorum.bootstrap.servers any, so that nodes find one another there; otherwise the node talks to its controller in the process."},
	{Name: "controller.quorum.voters", Kind: List, Default: "",
		Doc: "The first voters of a new cluster as id@host:port, the same list on all of them. They wait for one another at their first start. Later starts use it only to find the others. It names nodes with the role controller; one with the role broker alone joins them by it."},
	{Name: "controller.quorum.bootstrap.servers", Kind: List, Default: "",
		Doc: "Nodes to ask for the cluster, as host:port; the flag --join of headrace server sets it. A node without data joins their cluster, and begins one of its own where only its own address is named. A node with data uses it only to find the others."},
	{Name: "headrace.quorum.voters.max", Kind: Int, Default: "3", valid: odd(5), Own: true,
		Doc: "Nodes that vote on the metadata at most. Nodes beyond it follow the metadata, and take the place of a voter that is removed."},
	{Name: "broker.session.timeout.ms", Kind: Int, Default: "3000", valid: atLeast(1),
		Doc: "Time after which a node that sends no heartbeat is fenced: its partitions are led by others. A node whose process has ended is found out sooner."},
	{Name: "broker.heartbeat.interval.ms", Kind: Int, Default: "500", valid: atLeast(1),
		Doc: "Time between two heartbeats of a node to the controller."},
	{Name: "controlled.shutdown.enable", Kind: Boolean, Default: "true",
		Doc: "Whether a node that stops hands its partitions to others first."},
	{Name: "auto.leader.rebalance.enable", Kind: Boolean, Default: "true",
		Doc: "Whether partitions are given back to their preferred leaders, the first of their replicas, from time to time."},
	{Name: "leader.imbalance.check.interval.seconds", Kind: Long, Default: "300", valid: atLeast(1),
		Doc: "Time between two looks for partitions that their preferred leader does not lead."},
	{Name: cordonedDirs, Kind: List, Default: "", Update: PerBroker,
		valid: rule{words: "empty, or *", why: func(v value) string {
			if v.text() != "" && v.text() != "*" {
				return "{} must be empty or *: single directories of a node cannot be cordoned"
			}
			return ""
		}},
		Doc: "Set to * while the node runs, it keeps new partitions away from the node, as before it is taken away (headrace cluster decommission sets it)."},
	{Name: "unclean.leader.election.interval.ms", Kind: Long, Default: "300000", valid: atLeast(1),
		Doc: "Time between two looks for partitions without a leader whose topic allows an unclean one."},
}

var brokerReplicas = []Def{
	{Name: "num.replica.fetchers", Kind: Int, Default: "1", valid: between(1, 64),
		Doc: "Connections over which a node fetches from each of the others."},
	{Name: "replica.lag.time.max.ms", Kind: Long, Default: "30000", valid: atLeast(1),
		Doc: "Time after which a follower that has not caught up with its leader is no longer in sync."},
	{Name: "replica.fetch.max.bytes", Kind: Int, Default: "1048576", valid: atLeast(0),
		Doc: "Bytes that a follower fetches of one partition at once; a single larger batch is still fetched."},
	{Name: "replica.fetch.min.bytes", Kind: Int, Default: "1", valid: atLeast(0),
		Doc: "Bytes that a leader waits for before it answers a follower."},
	{Name: "replica.fetch.response.max.bytes", Kind: Int, Default: "10485760", valid: atLeast(0),
		Doc: "Bytes that a follower fetches of all partitions at once."},
	{Name: "replica.fetch.wait.max.ms", Kind: Int, Default: "500", valid: atLeast(1),
		Doc: "Time that a leader waits for replica.fetch.min.bytes before it answers a follower."},
	{Name: "replica.fetch.backoff.ms", Kind: Int, Default: "1000", valid: atLeast(0),
		Doc: "Time for which a follower leaves a partition alone after an error."},
	{Name: "leader.replication.throttled.rate", Kind: Long, Default: maxLong, valid: atLeast(0), Update: ClusterWide,
		Doc: "Bytes a second at most that this node sends, as a leader, to replicas that are not in sync, of the partitions that leader.replication.throttled.replicas names. kafka-reassign-partitions --throttle sets it."},
	{Name: "follower.replication.throttled.rate", Kind: Long, Default: maxLong, valid: atLeast(0), Update: ClusterWide,
		Doc: "Bytes a second at most that this node fetches, as a follower that is not in sync, of the partitions that follower.replication.throttled.replicas names. kafka-reassign-partitions --throttle sets it."},
	{Name: "replication.quota.window.num", Kind: Int, Default: "11", valid: atLeast(1),
		Doc: "Samples over which the rates of throttled replication are measured."},
	{Name: "replication.quota.window.size.seconds", Kind: Int, Default: "1", valid: atLeast(1),
		Doc: "Time of each of these samples."},
	{Name: "replica.alter.log.dirs.io.max.bytes.per.second", Kind: Long, Default: maxLong, valid: atLeast(0), Update: ClusterWide,
		Doc: "Most bytes a second that are copied into each directory for replicas that move there from another one of the same node."},
	{Name: "replica.selector.class", Kind: String, Null: true,
		valid: rule{words: "empty, or " + RackAwareSelector, why: func(v value) string {
			if v.s != "" && v.s != RackAwareSelector {
				return "{} must be empty or " + RackAwareSelector + ": Headrace cannot load other Java classes"
			}
			return ""
		}},
		Doc: "Set to " + RackAwareSelector + ", it sends consumers to an in-sync replica in their rack (client.rack, broker.rack)."},
}

// odd accepts odd numbers up to most: an even number of voters survives no more failures than one less.
func odd(most int64) rule {
	return rule{words: "an odd number up to " + strconv.FormatInt(most, 10), why: func(v value) string {
		if v.i < 1 || v.i > most || v.i%2 == 0 {
			return "{} must be an odd number up to " + strconv.FormatInt(most, 10)
		}
		return ""
	}}
}

func clusterConfig(r reader) ClusterConfig {
	return ClusterConfig{
		ID: r.text("cluster.id"), MaxVoters: int(r.num("headrace.quorum.voters.max")),
		Session: r.ms("broker.session.timeout.ms"), Heartbeat: r.ms("broker.heartbeat.interval.ms"),
		ControlledShutdown: r.flag("controlled.shutdown.enable"), BalanceLeaders: r.flag("auto.leader.rebalance.enable"),
		BalanceInterval: seconds(r.num("leader.imbalance.check.interval.seconds")), UncleanInterval: r.ms("unclean.leader.election.interval.ms"),
	}
}

// seconds is a time that is given in seconds, or Forever where it has room for no more.
func seconds(n int64) time.Duration {
	if n > int64(Forever/time.Second) {
		return Forever
	}
	return time.Duration(n) * time.Second
}

func replicasConfig(r reader) ReplicasConfig {
	return ReplicasConfig{
		Fetchers: int(r.num("num.replica.fetchers")), Lag: r.ms("replica.lag.time.max.ms"),
		FetchMaxBytes: int(r.num("replica.fetch.max.bytes")), FetchMinBytes: int(r.num("replica.fetch.min.bytes")),
		ResponseBytes: int(r.num("replica.fetch.response.max.bytes")), FetchWait: r.ms("replica.fetch.wait.max.ms"),
		FetchBackoff: r.ms("replica.fetch.backoff.ms"), RackAware: r.text("replica.selector.class") == RackAwareSelector,
		MoveBytesPerSecond: float64(r.num("replica.alter.log.dirs.io.max.bytes.per.second")),
		Throttle: ThrottleConfig{
			Leader: r.num("leader.replication.throttled.rate"), Follower: r.num("follower.replication.throttled.rate"),
			Samples: int(r.num("replication.quota.window.num")), Sample: seconds(r.num("replication.quota.window.size.seconds")),
		},
	}
}

// chooseCluster reads who belongs to the cluster. Whether the others are there is for the start to find out.
func chooseCluster(r reader, n *Node) error {
	c := &n.Cluster
	if len(n.Listeners) == 0 {
		return nil // what is wrong with them has been told
	}
	if name := strings.ToUpper(r.text("inter.broker.listener.name")); name != "" && n.Broker {
		c.InterBroker = slices.IndexFunc(n.Listeners, func(l Listener) bool { return l.Name == name })
	}
	if id := r.l.Static.ClusterID(); id != "" {
		if c.ID != "" && c.ID != id {
			return wrong("cluster.id", "cluster.id=%s and CLUSTER_ID=%s differ: set one of them", c.ID, id)
		}
		c.ID = id
	}
	if err := chooseVoters(r, n); err != nil {
		return err
	}
	for _, server := range r.list("controller.quorum.bootstrap.servers") {
		if err := checkAddress("controller.quorum.bootstrap.servers", server); err != nil {
			return err
		}
		c.Join = append(c.Join, server)
	}
	if !n.Controller && len(c.Join) == 0 {
		return wrong("process.roles", "process.roles=broker needs controllers: name nodes of the cluster to join by controller.quorum.bootstrap.servers (--join), or by controller.quorum.voters")
	}
	if c.Session < 2*c.Heartbeat {
		return wrong("broker.session.timeout.ms", "broker.session.timeout.ms=%d is less than two heartbeats (broker.heartbeat.interval.ms=%d): one that is late would fence the node",
			c.Session.Milliseconds(), c.Heartbeat.Milliseconds())
	}
	return nil
}

// chooseVoters reads the static list. One that names this node alone says what is the case without it.
func chooseVoters(r reader, n *Node) error {
	const key = "controller.quorum.voters"
	c := &n.Cluster
	for _, entry := range r.list(key) {
		id, address, ok := strings.Cut(entry, "@")
		number, err := strconv.ParseInt(id, 10, 32)
		if !ok || err != nil || number < 0 || checkAddress(key, address) != nil {
			return wrong(key, "%s: %q is not id@host:port", key, entry)
		}
		v := Voter{ID: kafka.NodeID(number), Address: address}
		if slices.ContainsFunc(c.Voters, func(o Voter) bool { return o.ID == v.ID || o.Address == v.Address }) {
			return wrong(key, "%s: the id or the address of %s comes twice", key, entry)
		}
		c.Voters = append(c.Voters, v)
	}
	switch named := slices.ContainsFunc(c.Voters, func(v Voter) bool { return v.ID == n.ID }); {
	case len(c.Voters) == 0:
	case named && !n.Controller:
		return wrong(key, "%s names this node (%d), which has process.roles=broker: its list is of controllers", key, n.ID)
	case !n.Controller:
		for _, v := range c.Voters {
			c.Join = append(c.Join, v.Address)
		}
		c.Voters = nil
	case !named:
		return wrong(key, "%s does not name this node (%d): nodes beside the list join it by controller.quorum.bootstrap.servers", key, n.ID)
	case len(c.Voters) == 1:
		c.Voters = nil
	case len(c.Voters)%2 == 0 || len(c.Voters) > 5:
		return wrong(key, "%s names %d nodes: make it 1, 3 or 5; more nodes join by controller.quorum.bootstrap.servers", key, len(c.Voters))
	case c.ID == "":
		return wrong(key, "%s names several nodes and there is no cluster.id: set the same on all of them", key)
	}
	c.MaxVoters = max(c.MaxVoters, len(c.Voters))
	return nil
}

func checkAddress(key, address string) error {
	host, port, err := splitHostPort(address)
	switch {
	case err != nil:
		return wrong(key, "%s: %s", key, err)
	case host == "" || port == 0:
		return wrong(key, "%s: %q is not host:port", key, address)
	}
	return nil
}
