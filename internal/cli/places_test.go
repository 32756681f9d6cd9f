package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/cli/term"
)

func onOneNode() map[string][]int32 {
	all := map[string][]int32{}
	for i := range 6 {
		all[fmt.Sprintf("a:%d", i)] = []int32{0}
	}
	return all
}

func TestRebalanceShowsAPlanAndCarriesItOut(t *testing.T) {
	w := newPlaces(t, 3, onOneNode())
	r := w.run("", "cluster rebalance")
	want := "PARTITION  FROM  TO   COPIES\na:0        [0]   [1]  1.0 MiB\na:1        [0]   [2]  1.0 MiB\na:2        [0]   [1]  1.0 MiB\na:3        [0]   [2]  1.0 MiB\n\n" +
		"NODE  REPLICAS  LEADS\n   0  6 > 2     6 > 2\n   1  0 > 2     0 > 2\n   2  0 > 2     0 > 2\n4 partitions to move, 4.0 MiB to copy, 4 leaders to elect\n"
	if r.code != term.ExitOK || r.out != want || !strings.Contains(r.err, "nothing is changed: add --execute") {
		t.Errorf("%d %s\n%s", r.code, r.err, r.out)
	}
	if changed := w.noted(); len(changed) != 0 {
		t.Errorf("a plan that is only shown changed %v", changed)
	}
	r = w.run("", "cluster rebalance --execute --at-once 2")
	if r.code != term.ExitOK || !strings.HasSuffix(r.out, "moved 4 partitions, elected 4 leaders\n") || !strings.Contains(r.err, "0 of 4 partitions moved, 2 under way") {
		t.Errorf("%d %s\n%s", r.code, r.err, r.out)
	}
	if got := w.replicas(); got != "a:0 [1] a:1 [2] a:2 [1] a:3 [2] a:4 [0] a:5 [0] " || w.atOnce > 2 {
		t.Errorf("%s, %d at once", got, w.atOnce)
	}
	w.want("", "cluster rebalance", "replicas and leaders are even: there is nothing to move\n")

	w = newPlaces(t, 2, onOneNode())
	w.cordoned["1"] = "*"
	if r := w.run("", "cluster rebalance"); r.out != "replicas and leaders are even: there is nothing to move\n" || !strings.Contains(r.err, "node 1 is cordoned, and gets no replicas") {
		t.Errorf("%s\n%s", r.err, r.out)
	}
}

func TestRebalanceMovesLeadersAndHasThemElected(t *testing.T) {
	w := newPlaces(t, 2, map[string][]int32{"a:0": {0, 1}, "a:1": {0, 1}})
	var answer struct {
		Executed bool
		Changes  struct {
			Moves []struct {
				Partition int
				From, To  []int32
			}
			Nodes []struct{ Leads, LeadsAfter int }
		}
	}
	r := w.run("", "cluster rebalance --yes -o json")
	if err := json.Unmarshal([]byte(r.out), &answer); err != nil || !answer.Executed || len(answer.Changes.Moves) != 1 || answer.Changes.Nodes[0].Leads != 2 || answer.Changes.Nodes[0].LeadsAfter != 1 {
		t.Errorf("%v %+v\n%s", err, answer, r.err)
	}
	if p := w.partitions["a:0"]; p.leader != 1 || p.replicas[0] != 1 {
		t.Errorf("%+v", p)
	}
	// A leader that is not the preferred one counts, though nothing is to move.
	w.partitions["a:0"].leader = 0
	if r := w.run("", "cluster rebalance --execute"); !strings.HasSuffix(r.out, "0 partitions to move, 0 B to copy, 1 leader to elect\nmoved 0 partitions, elected 1 leader\n") || w.partitions["a:0"].leader != 1 {
		t.Errorf("%+v\n%s", w.partitions["a:0"], r.out)
	}
}

func TestMovesOfOthersAreNotMeddledWithAndCanBeStopped(t *testing.T) {
	w := newPlaces(t, 2, onOneNode())
	w.looks = 1000
	w.partitions["a:3"].target = []int32{1}
	w.refused(term.ExitFailed, "", "cluster rebalance", "1 partition being moved already, [a:3]: wait for that, or stop it with headrace cluster rebalance --cancel")
	w.refused(term.ExitFailed, "", "cluster decommission 1", "1 partition being moved already, [a:3]")
	w.want("", "cluster rebalance --cancel", "stopped the move of 1 partition\n")
	w.want("", "cluster rebalance --cancel -o json", "{\n  \"partitions\": []\n}\n")
}

func TestAMoveThatIsInterruptedSaysWhatGoesOn(t *testing.T) {
	w := newPlaces(t, 2, onOneNode())
	w.looks = 1 << 30
	ctx, interrupt := context.WithCancel(t.Context())
	w.listed = interrupt
	r := w.runContext(ctx, "", "cluster rebalance --execute")
	if r.code != term.ExitInterrupted || !strings.Contains(r.err, "headrace: what is under way goes on; headrace cluster rebalance --cancel stops it\nheadrace: interrupted\n") {
		t.Errorf("%d %s", r.code, r.err)
	}
}

func TestDecommissionEmptiesANodeTakesItsVoteAndForgetsItWhenItIsGone(t *testing.T) {
	w := newPlaces(t, 4, map[string][]int32{"a:0": {3, 0}, "a:1": {1, 3}, "b:0": {3}})
	w.voters = []int32{0, 1, 3}
	r := w.run("", "cluster decommission 3 --dry-run")
	if r.code != term.ExitOK || !strings.Contains(r.out, "3 partitions to move") || len(w.noted()) != 0 {
		t.Errorf("%d %s\n%s", r.code, r.err, r.out)
	}
	w.stops = 3
	r = w.run("", "cluster decommission 3")
	want := "no new replicas come to node 3\nmoved 3 partitions off node 3\nnode 3 holds no replicas\nnode 3 has no vote on the metadata any more\nnode 3 is out of the cluster\n"
	if r.code != term.ExitOK || r.out != want || !strings.Contains(r.err, "node 3 is empty: stop it now") {
		t.Errorf("%d %s\n%s", r.code, r.err, r.out)
	}
	if log := fmt.Sprint(w.noted()); log != "[3 cordoned.log.dirs: SET a:0 > [2 0] a:1 > [1 0] b:0 > [1] no vote 3 3 3 cordoned.log.dirs: DELETE forget 3]" {
		t.Error(log)
	}
	w.refused(term.ExitFailed, "", "cluster decommission 3", "there is no node 3 (headrace cluster nodes lists those that are there)")
}

func TestADeadNodeIsTakenOut(t *testing.T) {
	w := newPlaces(t, 3, map[string][]int32{"a:0": {2, 0}, "a:1": {1, 0}})
	w.alive = []int32{0, 1}
	if r := w.run("", "cluster rebalance"); !strings.Contains(r.err, "nodes [2] hold replicas and are not there") {
		t.Error(r.err)
	}
	w.want("", "cluster decommission 2 -o json", "{\n  \"node\": 2,\n  \"moved\": 1,\n  \"voteTaken\": false,\n  \"unregistered\": true\n}\n")
	if got := w.replicas(); got != "a:0 [0 1] a:1 [1 0] " {
		t.Error(got)
	}
}

func TestANodeThatCannotBeEmptiedIsLeftAsItIs(t *testing.T) {
	w := newPlaces(t, 2, map[string][]int32{"a:0": {1, 0}, "b:0": {1}})
	w.refused(term.ExitFailed, "", "cluster decommission 1", "node 1 cannot be emptied: no other node could take 1 of its partitions, a:0 among them; add a node, or give their topics fewer replicas")
	if changed := w.noted(); len(changed) != 0 {
		t.Error(changed)
	}
}

func TestADecommissionIsCancelled(t *testing.T) {
	w := newPlaces(t, 2, map[string][]int32{"a:0": {1}, "b:0": {0}})
	w.looks = 1000
	w.partitions["a:0"].target, w.partitions["b:0"].target = []int32{0}, []int32{1}
	w.cordoned["1"] = "*"
	w.want("", "cluster decommission 1 --cancel", "stopped the move of 1 partition; node 1 takes new replicas again (headrace cluster quorum shows whether it has a vote)\n")
	if log := fmt.Sprint(w.noted()); log != "[1 cordoned.log.dirs: DELETE a:0 > []]" {
		t.Error(log)
	}
}

// A decommission that goes on in another shell ends when it is cancelled: it moves no more, takes no vote and forgets nothing.
func TestADecommissionThatIsCancelledElsewhereEnds(t *testing.T) {
	w := newPlaces(t, 4, map[string][]int32{"a:0": {3, 0}, "a:1": {1, 3}, "b:0": {3}})
	w.voters = []int32{0, 1, 3}
	w.looks = 3
	w.listed = func() { delete(w.cordoned, "3") }
	w.refused(term.ExitFailed, "", "cluster decommission 3 --at-once 1", "cancelled from elsewhere: node 3 takes new replicas again, and stays")
	if log := fmt.Sprint(w.noted()); log != "[3 cordoned.log.dirs: SET a:0 > [2 0]]" {
		t.Error(log)
	}
	w = newPlaces(t, 3, nil)
	w.voters = []int32{0, 1, 2}
	w.described = func() {
		if _, taken := w.lastVoteless(); taken { // it waits for the node to stop
			delete(w.cordoned, "2")
		}
	}
	w.refused(term.ExitFailed, "", "cluster decommission 2", "cancelled from elsewhere: node 2 takes new replicas again, and stays")
	if log := fmt.Sprint(w.noted()); log != "[2 cordoned.log.dirs: SET no vote 2 2]" {
		t.Error(log)
	}
}

func TestVotersAreAddedAndRemoved(t *testing.T) {
	w := newPlaces(t, 3, nil)
	w.voters, w.learners = []int32{0, 1}, []int32{2}
	w.want("", "cluster add-voter 2", "node 2 is a voter\n")
	w.want("", "cluster add-voter 1", "node 1 is a voter already\n")
	w.refused(term.ExitFailed, "", "cluster add-voter 7", "node 7 does not follow the metadata: start it with --join first")
	w.want("", "cluster remove-voter 1 -o json", "{\n  \"node\": 1,\n  \"done\": true\n}\n")
	w.want("", "cluster remove-voter 2", "node 2 is no voter\n")
	w.refused(term.ExitFailed, "", "cluster remove-voter 0", "cannot take the vote of node 0: the last voter cannot be removed")
	w.refused(term.ExitUsage, "", "cluster remove-voter x", "\"x\" is not the id of a node")
	if log := fmt.Sprint(w.noted()); log != "[vote 2 2 of places no vote 1 1]" {
		t.Error(log)
	}
}

func TestTheQuorumIsShown(t *testing.T) {
	w := newPlaces(t, 3, nil)
	w.voters, w.learners = []int32{0, 1}, []int32{2}
	r := w.run("", "cluster quorum")
	lines := strings.Split(r.out, "\n")
	if r.code != term.ExitOK || len(lines) != 6 || lines[0] != "node 0 leads in term 3, the metadata is committed up to offset 100" || lines[2] != " 0  leader   101    0  now" ||
		!strings.HasPrefix(lines[4], " 2  learner   99    2  ") {
		t.Errorf("%d %s\n%s", r.code, r.err, r.out)
	}
}

func TestHealthNamesPartitionsNodesAndVotersThatAreBehind(t *testing.T) {
	w := newPlaces(t, 3, map[string][]int32{"a:0": {0, 1, 2}, "b:0": {1, 2}, "c:0": {2}})
	w.partitions["a:0"].isr, w.partitions["c:0"].leader, w.partitions["c:0"].isr = []int32{0, 2}, -1, nil
	w.voters = []int32{0, 1, 2}
	r := w.run("", "cluster health -o json")
	var answer struct {
		Healthy  bool
		Findings []struct {
			Problem    string
			Partitions []string
		}
	}
	if err := json.Unmarshal([]byte(r.out), &answer); err != nil || r.code != term.ExitFailed || answer.Healthy || len(answer.Findings) != 4 {
		t.Fatalf("%d %v %s", r.code, err, r.out)
	}
	for i, want := range []string{"node 1, a voter on the metadata, is behind", "node 2, a voter on the metadata, is behind",
		"1 partition without a leader, neither written nor read: [c:0], on node 2", "1 partition with replicas that are behind: [a:0], on node 1"} {
		if answer.Findings[i].Problem != want {
			t.Errorf("%q, want %q", answer.Findings[i].Problem, want)
		}
	}
	if fmt.Sprint(answer.Findings[3].Partitions) != "[a:0]" {
		t.Error(answer.Findings[3])
	}
}

func TestHealthNamesNodesThatDifferInDurability(t *testing.T) {
	w := newPlaces(t, 3, nil)
	w.voters, w.durability = []int32{0}, map[int32]string{0: "flush", 1: "os", 2: "flush"}
	r := w.run("", "cluster health")
	want := "nodes differ in durability, flush on [0 2], os on [1]: what an acknowledgement is worth depends on which of them leads\n" +
		"  choose one for all: headrace config set cluster durability=flush\n"
	if r.code != term.ExitFailed || r.out != want {
		t.Errorf("%d %s\n%s", r.code, r.err, r.out)
	}
	w.durability = map[int32]string{0: "os", 1: "os"} // node 2 does not know the key
	w.want("", "cluster health", "the cluster is well\n")
}

func TestFeaturesAreListedAndTheirLevelsChange(t *testing.T) {
	w := newPlaces(t, 3, nil)
	w.supports, w.level = map[int32]int16{0: 30, 1: 29, 2: 30}, 28
	w.want("", "cluster features", "FEATURE           LEVEL  MIN  MAX\nmetadata.version     28    7   29\n")
	w.want("", "cluster set-feature metadata.version 28", "metadata.version is at level 28 already\n")
	w.want("", "cluster set-feature metadata.version 29 --dry-run", "metadata.version would go from level 28 to 29\n")
	w.want("", "cluster set-feature metadata.version 29 -o json", "{\n  \"feature\": \"metadata.version\",\n  \"from\": 28,\n  \"level\": 29,\n  \"done\": true\n}\n")
	w.refused(term.ExitFailed, "", "cluster set-feature metadata.version 30", "metadata.version stays at level 29: a node does not know it")
	w.refused(term.ExitFailed, "", "cluster set-feature metadata.version 28", "metadata.version is at level 29: to lower it, say --downgrade")
	w.want("", "cluster set-feature metadata.version 28 --downgrade", "metadata.version goes from level 29 to 28\n")
	w.refused(term.ExitFailed, "", "cluster set-feature metadata.versoin 28", "no node knows a feature \"metadata.versoin\" (headrace cluster features lists them)")
	w.refused(term.ExitUsage, "", "cluster set-feature metadata.version x", "\"x\" is no level of a feature")
	w.refused(term.ExitUsage, "", "cluster set-feature metadata.version", "LEVEL is missing")
	if log := fmt.Sprint(w.noted()); log != "[metadata.version 29 type 1 only asked true metadata.version 29 type 1 only asked false metadata.version 28 type 2 only asked false]" {
		t.Error(log)
	}
	delete(w.supports, 1) // it does not know the feature at all
	w.want("", "cluster features -o json", "{\n  \"features\": [\n    {\n      \"name\": \"metadata.version\",\n      \"level\": 28,\n      \"min\": 0,\n      \"max\": 0\n    }\n  ],\n  \"silent\": []\n}\n")
	w.supports[1], w.supports[2] = 30, -1
	w.want("", "cluster features", "FEATURE           LEVEL  MIN  MAX\nmetadata.version     28    7   30\nwhat nodes [2] support is not known: they do not answer\n")
}
