package conf

import (
	"slices"
	"time"
)

// StreamsGroupsConfig is what groups of Kafka Streams go by that have no configuration of their own, and the bounds of that.
type StreamsGroupsConfig struct {
	// Enabled tells whether members may use the streams protocol, as far as this node's file goes: streams.version counts too.
	Enabled                   bool
	Session, MinSession       time.Duration
	MaxSession                time.Duration
	Heartbeat, MinHeartbeat   time.Duration
	MaxHeartbeat              time.Duration
	Assignment, MinAssignment time.Duration // the least time between two assignments
	MaxAssignment             time.Duration
	InitialDelay              time.Duration // what a new group waits for more members
	Standbys, MaxStandbys     int
	MaxSize                   int
}

var brokerStreamsGroups = []Def{
	{Name: "group.streams.session.timeout.ms", Kind: Int, Default: "45000", valid: atLeast(1),
		Doc: "Time without a heartbeat after which a member of the streams protocol is out of its group."},
	{Name: "group.streams.min.session.timeout.ms", Kind: Int, Default: "45000", valid: atLeast(1),
		Doc: "Shortest streams.session.timeout.ms that a group may be given."},
	{Name: "group.streams.max.session.timeout.ms", Kind: Int, Default: "60000", valid: atLeast(1),
		Doc: "Longest streams.session.timeout.ms that a group may be given."},
	{Name: "group.streams.heartbeat.interval.ms", Kind: Int, Default: "5000", valid: atLeast(1),
		Doc: "Time between two heartbeats that members of the streams protocol are told."},
	{Name: "group.streams.min.heartbeat.interval.ms", Kind: Int, Default: "5000", valid: atLeast(1),
		Doc: "Shortest streams.heartbeat.interval.ms that a group may be given."},
	{Name: "group.streams.max.heartbeat.interval.ms", Kind: Int, Default: "15000", valid: atLeast(1),
		Doc: "Longest streams.heartbeat.interval.ms that a group may be given."},
	{Name: "group.streams.assignment.interval.ms", Kind: Int, Default: "1000", valid: atLeast(0), Update: ClusterWide,
		Doc: "Least time between two assignments of a group of the streams protocol."},
	{Name: "group.streams.min.assignment.interval.ms", Kind: Int, Default: "0", valid: atLeast(0),
		Doc: "Shortest streams.assignment.interval.ms that a group may be given."},
	{Name: "group.streams.max.assignment.interval.ms", Kind: Int, Default: "15000", valid: atLeast(0),
		Doc: "Longest streams.assignment.interval.ms that a group may be given."},
	{Name: "group.streams.initial.rebalance.delay.ms", Kind: Int, Default: "3000", valid: atLeast(0),
		Doc: "Time that a new group of the streams protocol waits for more members before its first assignment."},
	{Name: "group.streams.num.standby.replicas", Kind: Int, Default: "0", valid: atLeast(0),
		Doc: "Standbys that tasks with state have in groups of the streams protocol."},
	{Name: "group.streams.max.standby.replicas", Kind: Int, Default: "2", valid: atLeast(0),
		Doc: "Most streams.num.standby.replicas that a group may be given."},
	{Name: "group.streams.max.size", Kind: Int, Default: "2147483647", valid: atLeast(1),
		Doc: "Most members of one group of the streams protocol."},
}

func readStreamsGroups(r reader) StreamsGroupsConfig {
	ms := func(key string) time.Duration { return r.ms("group.streams." + key) }
	num := func(key string) int { return int(r.num("group.streams." + key)) }
	return StreamsGroupsConfig{
		Enabled: slices.Contains(r.list("group.coordinator.rebalance.protocols"), "streams"),
		Session: ms("session.timeout.ms"), MinSession: ms("min.session.timeout.ms"), MaxSession: ms("max.session.timeout.ms"),
		Heartbeat: ms("heartbeat.interval.ms"), MinHeartbeat: ms("min.heartbeat.interval.ms"), MaxHeartbeat: ms("max.heartbeat.interval.ms"),
		Assignment: ms("assignment.interval.ms"), MinAssignment: ms("min.assignment.interval.ms"), MaxAssignment: ms("max.assignment.interval.ms"),
		InitialDelay: ms("initial.rebalance.delay.ms"),
		Standbys:     num("num.standby.replicas"), MaxStandbys: num("max.standby.replicas"), MaxSize: num("max.size"),
	}
}

func (c *StreamsGroupsConfig) bounds() []bound {
	return []bound{
		{"heartbeat.interval.ms", &c.Heartbeat, c.MinHeartbeat, c.MaxHeartbeat, false},
		{"session.timeout.ms", &c.Session, c.MinSession, c.MaxSession, false},
		{"assignment.interval.ms", &c.Assignment, c.MinAssignment, c.MaxAssignment, true},
	}
}

// chooseStreamsGroups checks the keys of streams groups. An assignment interval outside its bounds is taken as the nearest inside when
// it was set while running, as in Apache Kafka.
func chooseStreamsGroups(r reader, n *Node) error {
	c := readStreamsGroups(r)
	r.keepInside("group.streams.assignment.interval.ms", &c.Assignment, c.MinAssignment, c.MaxAssignment)
	n.Groups.Streams = c
	if err := checkBrokerBounds("streams", c.bounds(), c.Heartbeat, c.Session); err != nil {
		return err
	}
	if c.Standbys > c.MaxStandbys {
		return wrong("group.streams.num.standby.replicas", "group.streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas")
	}
	return nil
}

// set takes a group's own values.
func (c *StreamsGroupsConfig) set(overrides map[string]string) {
	setOwn("streams", c.bounds(), overrides)
	if v, ok := ownValue("streams.initial.rebalance.delay.ms", overrides); ok {
		c.InitialDelay = fromMillis(v)
	}
	if v, ok := ownValue("streams.num.standby.replicas", overrides); ok {
		c.Standbys = int(v)
	}
}

// Of is what a group with these values of its own goes by. A value that is out of bounds, which may have moved since, counts as the
// nearest inside.
func (c StreamsGroupsConfig) Of(overrides map[string]string) StreamsGroupsConfig {
	if len(overrides) == 0 {
		return c
	}
	c.set(overrides)
	keepOwnInside("streams", c.bounds(), overrides)
	if _, own := overrides["streams.num.standby.replicas"]; own {
		c.Standbys = min(c.Standbys, c.MaxStandbys)
	}
	return c
}

// check tells what is wrong with the values that a group would have.
func (c *StreamsGroupsConfig) check(overrides map[string]string) error {
	c.set(overrides)
	if err := checkOwnBounds("streams", c.bounds(), overrides); err != nil {
		return err
	}
	switch {
	case c.Standbys > c.MaxStandbys:
		return invalid("streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas")
	case c.Session <= c.Heartbeat:
		return invalid("streams.session.timeout.ms must be greater than streams.heartbeat.interval.ms")
	}
	return nil
}
