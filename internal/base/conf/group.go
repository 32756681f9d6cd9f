package conf

import "time"

// Each key of a group has a broker key that gives its default, and two more that bound it.
var groupDefs = sorted([]Def{
	groupDef("consumer.session.timeout.ms", "45000", 1, "Time without a heartbeat after which a member is out of the group; from group.consumer.min.session.timeout.ms to group.consumer.max.session.timeout.ms."),
	groupDef("consumer.heartbeat.interval.ms", "5000", 1, "Time between two heartbeats that members are told; from group.consumer.min.heartbeat.interval.ms to group.consumer.max.heartbeat.interval.ms."),
	groupDef("consumer.assignment.interval.ms", "1000", 0, "Least time between two assignments; from group.consumer.min.assignment.interval.ms to group.consumer.max.assignment.interval.ms."),
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

// set takes a group's own values.
func (c *ConsumerGroupsConfig) set(overrides map[string]string) {
	for _, b := range c.bounds() {
		d, _ := Lookup(ScopeGroup, "consumer."+b.key)
		if text, ok := overrides[d.Name]; ok {
			if v, err := parse(d, text); err == nil {
				*b.value = fromMillis(v.i)
			}
		}
	}
}

// Of is what a group with these values of its own goes by. A value that is out of bounds, which may have moved since, counts as the
// nearest inside.
func (c ConsumerGroupsConfig) Of(overrides map[string]string) ConsumerGroupsConfig {
	if len(overrides) == 0 {
		return c
	}
	c.set(overrides)
	for _, b := range c.bounds() {
		if _, own := overrides["consumer."+b.key]; own {
			*b.value = min(max(*b.value, b.least), b.most)
		}
	}
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
	c.set(overrides)
	for _, b := range c.bounds() {
		if _, own := overrides["consumer."+b.key]; b.ifSet && !own {
			continue
		}
		switch {
		case *b.value < b.least:
			return invalid("consumer." + b.key + " must be greater than or equal to group.consumer.min." + b.key)
		case *b.value > b.most:
			return invalid("consumer." + b.key + " must be less than or equal to group.consumer.max." + b.key)
		}
	}
	if c.Session <= c.Heartbeat {
		return invalid("consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms")
	}
	return nil
}
