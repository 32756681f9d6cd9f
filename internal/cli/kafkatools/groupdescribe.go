package kafkatools

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

const missing = "-"

func (g *groupCall) describe() error {
	names, err := g.groups()
	if err != nil {
		return err
	}
	groups, err := g.describeGroups(names)
	if err != nil {
		return execution(err)
	}
	verbose := g.line.has("verbose")
	for _, info := range groups {
		switch {
		case g.line.has("members"):
			g.printMembers(info, verbose)
		case g.line.has("state"):
			g.printState(info, verbose)
		default:
			if err := g.printOffsets(info, verbose); err != nil {
				return err
			}
		}
	}
	return nil
}

// worthShowing tells about a group that has no members or is between two states, and whether there is anything to show.
func (g *groupCall) worthShowing(info groupInfo, rows int) bool {
	switch info.state {
	case "Dead":
		g.printError("Consumer group '" + info.name + "' does not exist.")
		return false
	case "Empty":
		g.complain("\nConsumer group '" + info.name + "' has no active members.")
	case "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling":
		g.complain("\nWarning: Consumer group '" + info.name + "' is rebalancing.")
	}
	return rows > 0
}

func orMissing(n int64, ok bool) string {
	if !ok {
		return missing
	}
	return strconv.FormatInt(n, 10)
}

// offsetRow is a line of a group's offsets.
type offsetRow struct {
	tp               topicPartition
	committed        committedOffset
	hasCommitted     bool
	end              offsetResult
	hasEnd           bool
	id, host, client string
}

func (g *groupCall) printOffsets(info groupInfo, verbose bool) error {
	rows, err := g.offsetRows(info)
	if err != nil {
		return err
	}
	if !g.worthShowing(info, len(rows)) {
		return nil
	}
	name, topic, id, host := 15, 15, 15, 15
	for _, r := range rows {
		name, topic, id, host = max(name, len(info.name)), max(topic, len(r.tp.topic)), max(id, len(r.id)), max(host, len(r.host))
	}
	line := func(group, t, p, epoch, current, end, lag, i, h, client string) {
		g.printf("\n%-*s %-*s %-10s ", name, group, topic, t, p)
		if verbose {
			g.printf("%-15s ", epoch)
		}
		g.printf("%-15s %-15s %-15s %-*s %-*s %s", current, end, lag, id, i, host, h, client)
	}
	line("GROUP", "TOPIC", "PARTITION", "LEADER-EPOCH", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID")
	for _, r := range rows {
		line(info.name, r.tp.topic, strconv.Itoa(int(r.tp.number)), orMissing(int64(r.committed.epoch), r.hasCommitted && r.committed.epoch >= 0),
			orMissing(r.committed.offset, r.hasCommitted), orMissing(r.end.offset, r.hasEnd),
			orMissing(r.end.offset-r.committed.offset, r.hasEnd && r.hasCommitted), r.id, r.host, r.client)
	}
	g.printf("\n")
	return nil
}

// offsetRows are the partitions of members, those with most first, and then those that nobody has.
func (g *groupCall) offsetRows(info groupInfo) ([]offsetRow, error) {
	committed, err := g.committed(info.name)
	if err != nil {
		return nil, runtimeError(execution(err))
	}
	assigned := map[topicPartition]bool{}
	var rows []offsetRow
	members := slices.Clone(info.members)
	slices.SortStableFunc(members, func(a, b memberInfo) int { return len(b.assigned) - len(a.assigned) })
	for _, m := range members {
		for _, tp := range m.assigned {
			assigned[tp] = true
			rows = append(rows, offsetRow{tp: tp, id: m.id, host: m.host, client: m.client})
		}
	}
	for _, tp := range slices.SortedFunc(maps.Keys(committed), compare) {
		if !assigned[tp] {
			rows = append(rows, offsetRow{tp: tp, id: missing, host: missing, client: missing})
		}
	}
	var all []topicPartition
	for i := range rows {
		all = append(all, rows[i].tp)
		rows[i].committed, rows[i].hasCommitted = committed[rows[i].tp]
	}
	withLeader, err := g.withLeader(all)
	if err != nil {
		return nil, err
	}
	ends, err := g.k.offsetsAt(g.ctx, withLeader, timeLatest)
	if err != nil {
		return nil, runtimeError(execution(err))
	}
	for i := range rows {
		rows[i].end, rows[i].hasEnd = ends[rows[i].tp]
		if rows[i].end.err != nil {
			return nil, runtimeError(execution(rows[i].end.err))
		}
	}
	return rows, nil
}

// withLeader are the partitions that have a leader; all must be there.
func (g *groupCall) withLeader(all []topicPartition) ([]topicPartition, error) {
	var names []string
	for _, tp := range all {
		names = append(names, tp.topic)
	}
	topics, err := g.k.describe(g.ctx, slices.Compact(slices.Sorted(slices.Values(names))))
	if err != nil {
		return nil, runtimeError(execution(err))
	}
	led := map[topicPartition]bool{}
	for _, t := range topics {
		for _, p := range t.partitions {
			led[topicPartition{t.name, p.number}] = p.leader >= 0
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(tp topicPartition) bool { return !led[tp] }), nil
}

// memberWidths are the columns of members.
type memberWidths struct{ group, id, instance, host, client, current, target int }

func (g *groupCall) printMembers(info groupInfo, verbose bool) {
	w := memberWidths{15, 15, 17, 15, 15, 20, 20}
	withInstance, older, newer := false, false, false
	if g.worthShowing(info, len(info.members)) {
		for _, m := range info.members {
			w = memberWidths{
				max(w.group, len(info.name)), max(w.id, len(m.id)), max(w.instance, len(m.instance)), max(w.host, len(m.host)),
				max(w.client, len(m.client)), max(w.current, len(partitionList(m.assigned))), max(w.target, len(partitionList(m.target))),
			}
			withInstance = withInstance || m.instance != ""
			older = older || m.upgraded != nil && !*m.upgraded
			newer = newer || m.upgraded != nil && *m.upgraded
		}
	}
	if info.state == "Dead" {
		return
	}
	line := func(group, id, instance, host, client, partitions string) {
		g.printf("%-*s %-*s ", w.group, group, w.id, id)
		if withInstance {
			g.printf("%-*s ", w.instance, instance)
		}
		g.printf("%-*s %-*s %-15s ", w.host, host, w.client, client, partitions)
	}
	more := func(epoch, current, targetEpoch, target, upgraded string) {
		if !verbose {
			return
		}
		g.printf("%-15s %-*s %-15s %-*s", epoch, w.current, current, targetEpoch, w.target, target)
		if older && newer {
			g.printf(" %s", upgraded)
		}
	}
	g.printf("\n")
	line("GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS")
	more("CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT", "UPGRADED")
	g.printf("\n")
	for _, m := range info.members {
		line(info.name, m.id, m.instance, m.host, m.client, strconv.Itoa(len(m.assigned)))
		upgraded := missing
		if m.upgraded != nil {
			upgraded = strconv.FormatBool(*m.upgraded)
		}
		more(orNone(m.epoch), partitionList(m.assigned), orNone(info.targetEpoch), partitionList(m.target), upgraded)
		g.printf("\n")
	}
}

func orNone(n *int32) string {
	if n == nil {
		return missing
	}
	return strconv.Itoa(int(*n))
}

// partitionList is a member's assignment: topic:0,1;other:2.
func partitionList(all []topicPartition) string {
	if len(all) == 0 {
		return missing
	}
	var b strings.Builder
	for i, tp := range all {
		switch {
		case i > 0 && all[i-1].topic == tp.topic:
			b.WriteByte(',')
		default:
			if i > 0 {
				b.WriteByte(';')
			}
			b.WriteString(tp.topic + ":")
		}
		b.WriteString(strconv.Itoa(int(tp.number)))
	}
	return b.String()
}

func (g *groupCall) printState(info groupInfo, verbose bool) {
	if !g.worthShowing(info, 1) {
		return
	}
	coordinator, name := max(25, len(info.coordinator)), max(15, len(info.name))
	line := func(group, at, strategy, state, epoch, target, members string) {
		g.printf("\n%-*s %-*s %-20s %-20s ", name, group, coordinator, at, strategy, state)
		if verbose {
			g.printf("%-15s %-25s ", epoch, target)
		}
		g.printf("%s", members)
	}
	strategy := info.assignor
	if strategy == "" {
		strategy = missing
	}
	line("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", "GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH", "#MEMBERS")
	line(info.name, info.coordinator, strategy, info.state, orNone(info.epoch), orNone(info.targetEpoch), strconv.Itoa(len(info.members)))
	g.printf("\n")
}
