package conf

import (
	"slices"
	"strings"
	"time"
)

// ConsumerGroupsConfig is what groups of the consumer protocol go by that have no configuration of their own, and the bounds of
// that.
type ConsumerGroupsConfig struct {
	// Enabled tells whether members may use the consumer protocol, as far as this node's file goes: group.version counts too.
	Enabled                   bool
	Session, MinSession       time.Duration
	MaxSession                time.Duration
	Heartbeat, MinHeartbeat   time.Duration
	MaxHeartbeat              time.Duration
	Assignment, MinAssignment time.Duration // the least time between two assignments
	MaxAssignment             time.Duration
	RegexRefresh              time.Duration
	MaxSize                   int
	Assignors                 []string // the default first
	MayUpgrade, MayDowngrade  bool     // group.consumer.migration.policy
}

// The policies of group.consumer.migration.policy.
const (
	migrateBoth = "bidirectional"
	migrateUp   = "upgrade"
	migrateDown = "downgrade"
	migrateNot  = "disabled"
)

var brokerConsumerGroups = []Def{
	{Name: "group.coordinator.rebalance.protocols", Kind: List, Default: "classic,consumer,streams", valid: oneOf("classic", "consumer", "share", "streams"),
		Doc: "Protocols that members of groups may use; share groups need not be named. classic must be one of them."},
	{Name: "group.consumer.session.timeout.ms", Kind: Int, Default: "45000", valid: atLeast(1),
		Doc: "Time without a heartbeat after which a member of the consumer protocol is out of its group."},
	{Name: "group.consumer.min.session.timeout.ms", Kind: Int, Default: "45000", valid: atLeast(1),
		Doc: "Shortest consumer.session.timeout.ms that a group may be given."},
	{Name: "group.consumer.max.session.timeout.ms", Kind: Int, Default: "60000", valid: atLeast(1),
		Doc: "Longest consumer.session.timeout.ms that a group may be given."},
	{Name: "group.consumer.heartbeat.interval.ms", Kind: Int, Default: "5000", valid: atLeast(1),
		Doc: "Time between two heartbeats that members of the consumer protocol are told."},
	{Name: "group.consumer.min.heartbeat.interval.ms", Kind: Int, Default: "5000", valid: atLeast(1),
		Doc: "Shortest consumer.heartbeat.interval.ms that a group may be given."},
	{Name: "group.consumer.max.heartbeat.interval.ms", Kind: Int, Default: "15000", valid: atLeast(1),
		Doc: "Longest consumer.heartbeat.interval.ms that a group may be given."},
	{Name: "group.consumer.assignment.interval.ms", Kind: Int, Default: "1000", valid: atLeast(0), Update: ClusterWide,
		Doc: "Least time between two assignments of a group of the consumer protocol."},
	{Name: "group.consumer.min.assignment.interval.ms", Kind: Int, Default: "0", valid: atLeast(0),
		Doc: "Shortest consumer.assignment.interval.ms that a group may be given."},
	{Name: "group.consumer.max.assignment.interval.ms", Kind: Int, Default: "15000", valid: atLeast(0),
		Doc: "Longest consumer.assignment.interval.ms that a group may be given."},
	{Name: "group.consumer.max.size", Kind: Int, Default: "2147483647", valid: atLeast(1),
		Doc: "Most members of one group of the consumer protocol."},
	{Name: "group.consumer.assignors", Kind: List, Default: "uniform,range", valid: rule{why: knownAssignors, words: "uniform, range"},
		Doc: "Assignors that members may ask for; the first is the default. Classes of one's own are not supported."},
	{Name: "group.consumer.migration.policy", Kind: String, Default: migrateBoth, valid: rule{why: knownPolicy, words: "bidirectional, upgrade, downgrade, disabled"},
		Doc: "Whether a group with members goes from the classic protocol to the consumer protocol when a member of that joins, and back when the last one leaves. With disabled, classic members are not let into groups of the consumer protocol."},
	{Name: "group.consumer.regex.refresh.interval.ms", Kind: Int, Default: "600000", valid: atLeast(10_000), Internal: true,
		Doc: "Time after which the topics of regular expressions are looked up again."},
}

func knownAssignors(v value) string {
	if len(v.list) == 0 {
		return "Configuration '{}' must not be empty. Valid values include: any non-empty value"
	}
	for _, name := range v.list {
		if name != "uniform" && name != "range" {
			return "Invalid value " + name + " for configuration {}: the assignors are uniform and range"
		}
	}
	return ""
}

func knownPolicy(v value) string {
	if slices.Contains([]string{migrateBoth, migrateUp, migrateDown, migrateNot}, strings.ToLower(v.s)) {
		return ""
	}
	return "Invalid value " + v.s + " for configuration {}: String must be one of (case insensitive): UPGRADE, DOWNGRADE, DISABLED, BIDIRECTIONAL"
}

func readConsumerGroups(r reader) ConsumerGroupsConfig {
	ms := func(key string) time.Duration { return r.ms("group.consumer." + key) }
	policy := strings.ToLower(r.text("group.consumer.migration.policy"))
	return ConsumerGroupsConfig{
		Enabled: slices.Contains(r.list("group.coordinator.rebalance.protocols"), "consumer"),
		Session: ms("session.timeout.ms"), MinSession: ms("min.session.timeout.ms"), MaxSession: ms("max.session.timeout.ms"),
		Heartbeat: ms("heartbeat.interval.ms"), MinHeartbeat: ms("min.heartbeat.interval.ms"), MaxHeartbeat: ms("max.heartbeat.interval.ms"),
		Assignment: ms("assignment.interval.ms"), MinAssignment: ms("min.assignment.interval.ms"), MaxAssignment: ms("max.assignment.interval.ms"),
		RegexRefresh: ms("regex.refresh.interval.ms"),
		MaxSize:      int(r.num("group.consumer.max.size")), Assignors: r.list("group.consumer.assignors"),
		MayUpgrade: policy == migrateBoth || policy == migrateUp, MayDowngrade: policy == migrateBoth || policy == migrateDown,
	}
}

// chooseConsumerGroups checks the keys of consumer groups. An assignment interval outside its bounds is taken as the nearest inside
// when it was set while running, as in Apache Kafka.
func chooseConsumerGroups(r reader, n *Node) error {
	c := readConsumerGroups(r)
	if !slices.Contains(r.list("group.coordinator.rebalance.protocols"), "classic") {
		return wrong("group.coordinator.rebalance.protocols", "Disabling the 'classic' protocol is not supported.")
	}
	r.keepInside("group.consumer.assignment.interval.ms", &c.Assignment, c.MinAssignment, c.MaxAssignment)
	n.Groups.Consumer = c
	return checkBrokerBounds("consumer", c.bounds(), c.Heartbeat, c.Session)
}

// keepInside takes a value that was set while running, and is out of bounds, as the nearest inside.
func (r reader) keepInside(key string, value *time.Duration, least, most time.Duration) {
	_, own := r.l.Broker[key]
	if _, all := r.l.BrokerDefault[key]; (own || all) && least <= most {
		*value = min(max(*value, least), most)
	}
}

// checkBrokerBounds refuses a file whose values are out of their own bounds.
func checkBrokerBounds(protocol string, bounds []bound, heartbeat, session time.Duration) error {
	group := "group." + protocol + "."
	for _, b := range bounds {
		key, lo, hi := group+b.key, group+"min."+b.key, group+"max."+b.key
		switch {
		case b.most < b.least:
			return wrong(hi, "%s must be greater than or equal to %s", hi, lo)
		case *b.value < b.least:
			return wrong(key, "%s must be greater than or equal to %s", key, lo)
		case *b.value > b.most:
			return wrong(key, "%s must be less than or equal to %s", key, hi)
		}
	}
	if heartbeat >= session {
		return wrong(group+"heartbeat.interval.ms", "%sheartbeat.interval.ms must be less than %ssession.timeout.ms", group, group)
	}
	return nil
}
