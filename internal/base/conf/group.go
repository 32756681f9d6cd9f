package conf

import "time"

// Most keys of a group have a broker key that gives the default, and others that bound it.
var groupDefs = sorted(shareGroupDefs, []Def{
	groupDef("consumer.session.timeout.ms", "45000", 1, "Time without a heartbeat after which a member is out of the group; from group.consumer.min.session.timeout.ms to group.consumer.max.session.timeout.ms."),
	groupDef("consumer.heartbeat.interval.ms", "5000", 1, "Time between two heartbeats that members are told; from group.consumer.min.heartbeat.interval.ms to group.consumer.max.heartbeat.interval.ms."),
	groupDef("consumer.assignment.interval.ms", "1000", 0, "Least time between two assignments; from group.consumer.min.assignment.interval.ms to group.consumer.max.assignment.interval.ms."),
	groupDef("streams.session.timeout.ms", "45000", 1, "Time without a heartbeat after which a member of a streams group is out of it; from group.streams.min.session.timeout.ms to group.streams.max.session.timeout.ms."),
	groupDef("streams.heartbeat.interval.ms", "5000", 1, "Time between two heartbeats that members of a streams group are told; from group.streams.min.heartbeat.interval.ms to group.streams.max.heartbeat.interval.ms."),
	groupDef("streams.assignment.interval.ms", "1000", 0, "Least time between two assignments of a streams group; from group.streams.min.assignment.interval.ms to group.streams.max.assignment.interval.ms."),
	groupDef("streams.initial.rebalance.delay.ms", "3000", 0, "Time that a new streams group waits for more members before its first assignment."),
	groupDef("streams.num.standby.replicas", "0", 0, "Standbys that tasks with state have; at most group.streams.max.standby.replicas."),
})

func groupDef(name, def string, least int64, doc string) Def {
	return Def{Name: name, Kind: Int, Default: def, valid: atLeast(least), Doc: doc, Synonyms: []Synonym{{Name: "group." + name, Factor: 1}}}
}

// GroupKeys lists the keys of groups, sorted by name.
func GroupKeys() []Def { return sorted(groupDefs) }

// bound is a key of groups with what bounds it.
type bound struct {
	key         string
	value       *time.Duration
	least, most time.Duration
	ifSet       bool
}

func (c *ConsumerGroupsConfig) bounds() []bound {
	return []bound{
		{"heartbeat.interval.ms", &c.Heartbeat, c.MinHeartbeat, c.MaxHeartbeat, false},
		{"session.timeout.ms", &c.Session, c.MinSession, c.MaxSession, false},
		{"assignment.interval.ms", &c.Assignment, c.MinAssignment, c.MaxAssignment, true},
	}
}

// setOwn takes a group's own values of keys that have bounds.
func setOwn(protocol string, bounds []bound, overrides map[string]string) {
	for _, b := range bounds {
		if v, ok := ownValue(protocol+"."+b.key, overrides); ok {
			*b.value = fromMillis(v)
		}
	}
}

// ownValue is a number that the group has of its own.
func ownValue(key string, overrides map[string]string) (int64, bool) {
	text, ok := overrides[key]
	if !ok {
		return 0, false
	}
	d, _ := Lookup(ScopeGroup, key)
	v, err := parse(d, text)
	return v.i, err == nil
}

// keepOwnInside takes the group's own values that are out of bounds as the nearest inside.
func keepOwnInside(protocol string, bounds []bound, overrides map[string]string) {
	for _, b := range bounds {
		if _, own := overrides[protocol+"."+b.key]; own {
			*b.value = min(max(*b.value, b.least), b.most)
		}
	}
}

func checkOwnBounds(protocol string, bounds []bound, overrides map[string]string) error {
	for _, b := range bounds {
		key := protocol + "." + b.key
		if _, own := overrides[key]; b.ifSet && !own {
			continue
		}
		switch {
		case *b.value < b.least:
			return invalid(key + " must be greater than or equal to group." + protocol + ".min." + b.key)
		case *b.value > b.most:
			return invalid(key + " must be less than or equal to group." + protocol + ".max." + b.key)
		}
	}
	return nil
}

// Of is what a group with these values of its own goes by. A value that is out of bounds, which may have moved since, counts as the
// nearest inside.
func (c ConsumerGroupsConfig) Of(overrides map[string]string) ConsumerGroupsConfig {
	if len(overrides) == 0 {
		return c
	}
	setOwn("consumer", c.bounds(), overrides)
	keepOwnInside("consumer", c.bounds(), overrides)
	return c
}

// CheckGroup tells what is wrong with the values that a group would have, on top of the node's layers.
func CheckGroup(overrides map[string]string, l Layers) error {
	for _, name := range namesOf(overrides) {
		if _, ok := Lookup(ScopeGroup, name); !ok {
			return invalid("Unknown group config name: " + name)
		}
	}
	for _, name := range namesOf(overrides) {
		if err := Check(ScopeGroup, name, overrides[name]); err != nil {
			return err
		}
	}
	c := readConsumerGroups(reader{l})
	setOwn("consumer", c.bounds(), overrides)
	if err := checkOwnBounds("consumer", c.bounds(), overrides); err != nil {
		return err
	}
	if c.Session <= c.Heartbeat {
		return invalid("consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms")
	}
	s := readStreamsGroups(reader{l})
	if err := s.check(overrides); err != nil {
		return err
	}
	return checkShareGroup(overrides, l)
}
