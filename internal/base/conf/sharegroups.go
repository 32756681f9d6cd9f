package conf

import (
	"slices"
	"strings"
	"time"
)

// ShareGroupsConfig is what share groups go by that have no configuration of their own, and the bounds of that.
type ShareGroupsConfig struct {
	MaxSize         int
	MaxSessions     int
	InitializeRetry time.Duration
	// Reset, Committed and Renew are of groups alone: share.auto.offset.reset, share.isolation.level and share.renew.acknowledge.enable.
	Reset            string
	Committed, Renew bool

	numbers [len(shareNumbers)]bounded
}

// bounded is a number with what bounds that of a group.
type bounded struct{ value, least, most int64 }

// shareNumbers are the keys of share groups, below share., that have a broker key group.share. for the default, and two more for
// bounds: group.share.min. and group.share.max.
var shareNumbers = [...]string{"session.timeout.ms", "heartbeat.interval.ms", "assignment.interval.ms", "record.lock.duration.ms", "delivery.count.limit", "partition.max.record.locks"}

func (c ShareGroupsConfig) number(key string) int64 {
	return c.numbers[slices.Index(shareNumbers[:], key)].value
}

// Session is the time without a heartbeat after which a member is out.
func (c ShareGroupsConfig) Session() time.Duration { return fromMillis(c.number("session.timeout.ms")) }

// Heartbeat is the time between two heartbeats.
func (c ShareGroupsConfig) Heartbeat() time.Duration {
	return fromMillis(c.number("heartbeat.interval.ms"))
}

// Assignment is the least time between two assignments.
func (c ShareGroupsConfig) Assignment() time.Duration {
	return fromMillis(c.number("assignment.interval.ms"))
}

// Lock is for how long a member has what it acquires.
func (c ShareGroupsConfig) Lock() time.Duration {
	return fromMillis(c.number("record.lock.duration.ms"))
}

// Deliveries is how often a record is delivered at most, Locks how many of a partition are in flight.
func (c ShareGroupsConfig) Deliveries() int { return int(c.number("delivery.count.limit")) }

// Locks is how many records of a partition may be in flight.
func (c ShareGroupsConfig) Locks() int { return int(c.number("partition.max.record.locks")) }

var brokerShareGroups = []Def{
	{Name: "group.share.session.timeout.ms", Kind: Int, Default: "45000", valid: atLeast(1),
		Doc: "Time without a heartbeat after which a member of a share group is out of it."},
	{Name: "group.share.min.session.timeout.ms", Kind: Int, Default: "45000", valid: atLeast(1),
		Doc: "Shortest share.session.timeout.ms that a group may be given."},
	{Name: "group.share.max.session.timeout.ms", Kind: Int, Default: "60000", valid: atLeast(1),
		Doc: "Longest share.session.timeout.ms that a group may be given."},
	{Name: "group.share.heartbeat.interval.ms", Kind: Int, Default: "5000", valid: atLeast(1),
		Doc: "Time between two heartbeats that members of share groups are told."},
	{Name: "group.share.min.heartbeat.interval.ms", Kind: Int, Default: "5000", valid: atLeast(1),
		Doc: "Shortest share.heartbeat.interval.ms that a group may be given."},
	{Name: "group.share.max.heartbeat.interval.ms", Kind: Int, Default: "15000", valid: atLeast(1),
		Doc: "Longest share.heartbeat.interval.ms that a group may be given."},
	{Name: "group.share.assignment.interval.ms", Kind: Int, Default: "1000", valid: atLeast(0), Update: ClusterWide,
		Doc: "Least time between two assignments of a share group."},
	{Name: "group.share.min.assignment.interval.ms", Kind: Int, Default: "0", valid: atLeast(0),
		Doc: "Shortest share.assignment.interval.ms that a group may be given."},
	{Name: "group.share.max.assignment.interval.ms", Kind: Int, Default: "15000", valid: atLeast(0),
		Doc: "Longest share.assignment.interval.ms that a group may be given."},
	{Name: "group.share.record.lock.duration.ms", Kind: Int, Default: "30000", valid: between(1000, 3600000),
		Doc: "Time for which a member of a share group has the records that it acquires."},
	{Name: "group.share.min.record.lock.duration.ms", Kind: Int, Default: "15000", valid: between(1000, 30000),
		Doc: "Shortest share.record.lock.duration.ms that a group may be given."},
	{Name: "group.share.max.record.lock.duration.ms", Kind: Int, Default: "60000", valid: between(30000, 3600000),
		Doc: "Longest share.record.lock.duration.ms that a group may be given."},
	{Name: "group.share.delivery.count.limit", Kind: Int, Default: "5", valid: between(2, 10),
		Doc: "How often a record is delivered to members of a share group before it is given up."},
	{Name: "group.share.min.delivery.count.limit", Kind: Int, Default: "2", valid: between(2, 5),
		Doc: "Least share.delivery.count.limit that a group may be given."},
	{Name: "group.share.max.delivery.count.limit", Kind: Int, Default: "10", valid: between(5, 25),
		Doc: "Largest share.delivery.count.limit that a group may be given."},
	{Name: "group.share.partition.max.record.locks", Kind: Int, Default: "2000", valid: between(100, 10000),
		Doc: "Records of a partition that a share group may have in flight."},
	{Name: "group.share.min.partition.max.record.locks", Kind: Int, Default: "100", valid: between(100, 2000),
		Doc: "Least share.partition.max.record.locks that a group may be given."},
	{Name: "group.share.max.partition.max.record.locks", Kind: Int, Default: "4000", valid: between(2000, 10000),
		Doc: "Largest share.partition.max.record.locks that a group may be given."},
	{Name: "group.share.max.size", Kind: Int, Default: "200", valid: between(1, 1000),
		Doc: "Most members of one share group."},
	{Name: "group.share.max.share.sessions", Kind: Int, Default: "2000", valid: atLeast(1),
		Doc: "Members of share groups that may fetch from this node at a time."},
	{Name: "group.share.assignors", Kind: List, Default: "simple", valid: oneOf("simple"),
		Doc: "The assignor of share groups. Classes of one's own are not supported."},
	{Name: "group.share.initialize.retry.interval.ms", Kind: Int, Default: "30000", valid: atLeast(1), Internal: true,
		Doc: "Time after which the state of a share group's partition is begun again that has not begun."},
}

var shareGroupDefs = []Def{
	shareDef("session.timeout.ms", "45000", 1, "Time without a heartbeat after which a member is out of the group"),
	shareDef("heartbeat.interval.ms", "5000", 1, "Time between two heartbeats that members are told"),
	shareDef("assignment.interval.ms", "1000", 0, "Least time between two assignments"),
	shareDef("record.lock.duration.ms", "30000", 1000, "Time for which a member has the records that it acquires"),
	shareDef("delivery.count.limit", "5", 2, "How often a record is delivered before it is given up"),
	shareDef("partition.max.record.locks", "2000", 100, "Records of a partition that may be in flight"),
	{Name: "share.auto.offset.reset", Kind: String, Default: "latest", valid: rule{why: shareReset, words: "latest, earliest, by_duration:PnDTnHnMn.nS"},
		Doc: "Where the group begins in a partition that it has not read yet: at the end, at the beginning, or so long ago."},
	{Name: "share.isolation.level", Kind: String, Default: "read_uncommitted", valid: oneOf("read_committed", "read_uncommitted"),
		Doc: "Whether records of transactions are delivered only when they are committed."},
	{Name: "share.renew.acknowledge.enable", Kind: Boolean, Default: "true",
		Doc: "Whether members may renew the locks of records that they are still processing."},
}

func shareDef(key, def string, least int64, doc string) Def {
	return groupDef("share."+key, def, least, doc+"; from group.share.min."+key+" to group.share.max."+key+".")
}

func shareReset(v value) string {
	if _, ok := ParseReset(v.s); !ok {
		return "Invalid value " + v.s + " for configuration {}: it is neither latest nor earliest nor by_duration:<a duration as ISO 8601 has it>"
	}
	return ""
}

// OffsetReset is where a group begins in a partition that it has not read yet; the zero value is the end.
type OffsetReset struct {
	Earliest bool
	Ago      time.Duration // 0: not by time
}

// ParseReset reads a share.auto.offset.reset.
func ParseReset(text string) (OffsetReset, bool) {
	lower := strings.ToLower(text)
	switch lower {
	case "latest":
		return OffsetReset{}, true
	case "earliest":
		return OffsetReset{Earliest: true}, true
	}
	iso, ok := strings.CutPrefix(lower, "by_duration:p")
	if !ok {
		return OffsetReset{}, false
	}
	d, ok := isoDuration(iso)
	return OffsetReset{Ago: d}, ok && d > 0
}

// isoDuration reads what follows the P of a duration: days, and after a T hours, minutes and seconds, in lower case.
func isoDuration(s string) (time.Duration, bool) {
	days, clock, timed := strings.Cut(s, "t")
	if s == "" || timed && clock == "" {
		return 0, false
	}
	var d time.Duration
	if days != "" {
		n, ok := strings.CutSuffix(days, "d")
		hours, err := time.ParseDuration(n + "h")
		if !ok || err != nil || strings.ContainsAny(n, "hms.") {
			return 0, false
		}
		d = 24 * hours
	}
	if timed {
		rest, err := time.ParseDuration(clock)
		if err != nil || strings.ContainsAny(clock, "uµn") || strings.Contains(clock, "ms") {
			return 0, false
		}
		d += rest
	}
	return d, true
}

func readShareGroups(r reader) ShareGroupsConfig {
	c := ShareGroupsConfig{
		MaxSize: int(r.num("group.share.max.size")), MaxSessions: int(r.num("group.share.max.share.sessions")),
		InitializeRetry: r.ms("group.share.initialize.retry.interval.ms"),
		Reset:           "latest", Renew: true,
	}
	for i, key := range shareNumbers {
		c.numbers[i] = bounded{r.num("group.share." + key), r.num("group.share.min." + key), r.num("group.share.max." + key)}
	}
	return c
}

// chooseShareGroups checks the keys of share groups. An assignment interval outside its bounds is taken as the nearest inside when it
// was set while running, as in Apache Kafka.
func chooseShareGroups(r reader, n *Node) error {
	c := readShareGroups(r)
	_, own := r.l.Broker["group.share.assignment.interval.ms"]
	_, all := r.l.BrokerDefault["group.share.assignment.interval.ms"]
	if b := &c.numbers[slices.Index(shareNumbers[:], "assignment.interval.ms")]; (own || all) && b.least <= b.most {
		b.value = min(max(b.value, b.least), b.most)
	}
	n.Groups.Share = c
	for i, key := range shareNumbers {
		b, key, lo, hi := c.numbers[i], "group.share."+key, "group.share.min."+key, "group.share.max."+key
		switch {
		case b.most < b.least:
			return wrong(hi, "%s must be greater than or equal to %s", hi, lo)
		case b.value < b.least:
			return wrong(key, "%s must be greater than or equal to %s", key, lo)
		case b.value > b.most:
			return wrong(key, "%s must be less than or equal to %s", key, hi)
		}
	}
	if c.Heartbeat() >= c.Session() {
		return wrong("group.share.heartbeat.interval.ms", "group.share.heartbeat.interval.ms must be less than group.share.session.timeout.ms")
	}
	return nil
}

// set takes a group's own values, and tells which of the numbers they are.
func (c *ShareGroupsConfig) set(overrides map[string]string) (own [len(shareNumbers)]bool) {
	get := func(key string) (value, bool) {
		text, ok := overrides[key]
		if !ok {
			return value{}, false
		}
		d, _ := Lookup(ScopeGroup, key)
		v, err := parse(d, text)
		return v, err == nil
	}
	for i, key := range shareNumbers {
		if v, ok := get("share." + key); ok {
			c.numbers[i].value, own[i] = v.i, true
		}
	}
	if v, ok := get("share.auto.offset.reset"); ok {
		c.Reset = v.s
	}
	if v, ok := get("share.isolation.level"); ok {
		c.Committed = v.s == "read_committed"
	}
	if v, ok := get("share.renew.acknowledge.enable"); ok {
		c.Renew = v.b
	}
	return own
}

// Of is what a group with these values of its own goes by. A value that is out of bounds, which may have moved since, counts as the
// nearest inside.
func (c ShareGroupsConfig) Of(overrides map[string]string) ShareGroupsConfig {
	for i, own := range c.set(overrides) {
		if b := &c.numbers[i]; own {
			b.value = min(max(b.value, b.least), b.most)
		}
	}
	return c
}

// checkShareGroup tells what is wrong with the values that a share group would have.
func checkShareGroup(overrides map[string]string, l Layers) error {
	c := readShareGroups(reader{l})
	for i, own := range c.set(overrides) {
		switch b, key := c.numbers[i], shareNumbers[i]; {
		case !own:
		case b.value < b.least:
			return invalid("share." + key + " must be greater than or equal to group.share.min." + key)
		case b.value > b.most:
			return invalid("share." + key + " must be less than or equal to group.share.max." + key)
		}
	}
	if c.Session() <= c.Heartbeat() {
		return invalid("share.session.timeout.ms must be greater than share.heartbeat.interval.ms")
	}
	return nil
}
