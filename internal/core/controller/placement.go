package controller

import (
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

func itoa(n int) string { return strconv.Itoa(n) }

// place spreads partitions over nodes: leaders go round all nodes, a partition's replicas go to different racks while
// there are any, and the followers of one leader differ from one round to the next, so that the load of a dead node
// falls on many. Fenced nodes are taken only where the active ones are too few. The first node is drawn at random.
func place(nodes []*metadata.Node, partitions, factor int, rnd *rand.Rand) ([][]kafka.NodeID, *Problem) {
	var active, fenced []*metadata.Node
	for _, n := range nodes {
		if n.Active() {
			active = append(active, n)
		} else {
			fenced = append(fenced, n)
		}
	}
	switch {
	case factor < 1:
		return nil, problem(kerr.InvalidReplicationFactor, "Invalid replication factor %d: the replication factor must be positive.", factor)
	case len(active) == 0:
		return nil, problem(kerr.InvalidReplicationFactor, "All brokers are currently fenced, or have all their log directories cordoned.")
	case len(nodes) < factor:
		return nil, problem(kerr.InvalidReplicationFactor, "The target replication factor of %d cannot be reached because only %d broker(s) are registered "+
			"or some brokers have all their log directories cordoned.", factor, len(nodes))
	}
	placed := spread(active, partitions, min(factor, len(active)), rnd)
	if len(active) < factor {
		for p, more := range spread(fenced, partitions, factor-len(active), rnd) {
			placed[p] = append(placed[p], more...)
		}
	}
	return placed, nil
}

func spread(nodes []*metadata.Node, partitions, factor int, rnd *rand.Rand) [][]kafka.NodeID {
	racks := groupByRack(nodes, rnd)
	first := rnd.IntN(len(racks))
	out := make([][]kafka.NodeID, partitions)
	for p := range out {
		out[p] = make([]kafka.NodeID, 0, factor)
		for round := 0; len(out[p]) < factor; round++ {
			for k := 0; k < len(racks) && len(out[p]) < factor; k++ {
				if r := racks[(first+p+k)%len(racks)]; round < len(r.nodes) {
					out[p] = append(out[p], r.pick(round).ID)
				}
			}
		}
		for _, r := range racks {
			r.advance()
		}
	}
	return out
}

// rack is the nodes of one rack, and where the next partition begins in it.
type rack struct {
	name  string
	nodes []*metadata.Node
	at    int // of the next partition's first node
	shift int // of its further nodes; moves on when at has gone round
	start int
}

// groupByRack orders the racks by name. Nodes without a rack form one.
func groupByRack(nodes []*metadata.Node, rnd *rand.Rand) []*rack {
	var racks []*rack
	for _, n := range nodes {
		name := ""
		if n.Rack != nil {
			name = *n.Rack
		}
		i := slices.IndexFunc(racks, func(r *rack) bool { return r.name == name })
		if i < 0 {
			i = len(racks)
			racks = append(racks, &rack{name: name})
		}
		racks[i].nodes = append(racks[i].nodes, n)
	}
	for _, r := range racks {
		r.start = rnd.IntN(len(r.nodes))
		r.at = r.start
	}
	return racks
}

// pick is the node that a partition takes from the rack in a round, 0 for its first.
func (r *rack) pick(round int) *metadata.Node {
	n := len(r.nodes)
	if round == 0 {
		return r.nodes[r.at]
	}
	return r.nodes[(r.at+1+(r.shift+round-1)%(n-1))%n]
}

func (r *rack) advance() {
	r.at = (r.at + 1) % len(r.nodes)
	if r.at == r.start {
		r.shift++
	}
}
