package kafkatools

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// States and types by their words in small letters, and as they are printed.
var (
	groupStates = map[string]string{
		"stable": "Stable", "reconciling": "Reconciling", "completingrebalance": "CompletingRebalance", "dead": "Dead",
		"preparingrebalance": "PreparingRebalance", "empty": "Empty", "assigning": "Assigning",
	}
	validStates = "Stable, Reconciling, CompletingRebalance, Dead, PreparingRebalance, Empty, Assigning"
	groupTypes  = map[string]string{"classic": "Classic", "consumer": "Consumer"}
)

// listGroups lists consumer groups of all nodes.
func (k *cluster) listGroups(ctx context.Context, states, types []string) ([]kmsg.ListGroupsResponseGroup, error) {
	ctx, cancel := k.bounded(ctx)
	defer cancel()
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	var groups []kmsg.ListGroupsResponseGroup
	for _, shard := range k.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		resp := shard.Resp.(*kmsg.ListGroupsResponse)
		if err := ofCode(resp.ErrorCode, nil); err != nil {
			return nil, err
		}
		for _, group := range resp.Groups {
			if group.ProtocolType == "consumer" || group.ProtocolType == "" {
				groups = append(groups, group)
			}
		}
	}
	slices.SortFunc(groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	return groups, nil
}

func (g *groupCall) list() error {
	withType, withState := g.line.has("type"), g.line.has("state")
	types, ok := filterWords(g.line.text("type"), groupTypes)
	if !ok {
		return illegal("Invalid types list '%s'. Valid types are: Classic, Consumer", g.line.text("type"))
	}
	states, ok := filterWords(g.line.text("state"), groupStates)
	if !ok {
		return illegal("Invalid state list '%s'. Valid states are: %s", g.line.text("state"), validStates)
	}
	groups, err := g.k.listGroups(g.ctx, states, types)
	if err != nil {
		if withType || withState {
			return execution(err)
		}
		return runtimeError(execution(err))
	}
	width := 15
	if withType || withState {
		for _, group := range groups {
			width = max(width, len(group.Group))
		}
		g.printGroup(width+10, "GROUP", "TYPE", "STATE")
	}
	for _, group := range groups {
		if !withType && !withState {
			g.printf("%s\n", group.Group)
			continue
		}
		kind := group.GroupType
		if known, ok := groupTypes[strings.ToLower(kind)]; ok {
			kind = known
		} else if kind == "" {
			kind = "Classic"
		}
		state := group.GroupState
		if state == "" {
			state = "Unknown"
		}
		g.printGroup(width+10, group.Group, kind, state)
	}
	return nil
}

func (g *groupCall) printGroup(width int, name, kind, state string) {
	g.printf("%-*s", width, name)
	if g.line.has("type") {
		g.printf(" %-20s", kind)
	}
	if g.line.has("state") {
		g.printf(" %-20s", state)
	}
	g.printf("\n")
}

// filterWords reads a list of words with commas between.
func filterWords(list string, known map[string]string) (words []string, ok bool) {
	if list == "" {
		return nil, true
	}
	for w := range strings.SplitSeq(list, ",") {
		word, ok := known[strings.ToLower(strings.TrimSpace(w))]
		if !ok {
			return nil, false
		}
		words = append(words, word)
	}
	return words, true
}
