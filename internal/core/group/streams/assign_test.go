package streams

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// assignable is a topology of a subtopology without state and one with it.
func assignable(stateless, stateful int32) *configured {
	return &configured{
		topology: &Topology{Subtopologies: []Subtopology{{ID: "0"}, {ID: "1", Changelogs: []InternalTopic{{Name: "log"}}}}},
		tasks:    map[string]int32{"0": stateless, "1": stateful},
	}
}

// run assigns to members such as "a/p", of process p, that had what had says, and prints what they get.
func run(c *configured, standbys int, had map[string]Assignment, members ...string) (string, map[string]Assignment) {
	var all []*assignee
	for _, m := range members {
		id, process, _ := strings.Cut(m, "/")
		all = append(all, &assignee{id: id, process: process, had: had[id]})
	}
	assign(all, c, standbys)
	var b strings.Builder
	got := map[string]Assignment{}
	for _, m := range all {
		got[m.id] = m.gets
		fmt.Fprintf(&b, "%s:", m.id)
		for role, name := range []string{"", "standby "} {
			for _, t := range slices.SortedFunc(maps.Keys(m.gets[role]), compareTasks) {
				fmt.Fprintf(&b, " %s%s_%d", name, t.Subtopology, t.Partition)
			}
		}
		b.WriteString("\n")
	}
	return b.String(), got
}

func TestTasksAreSharedOut(t *testing.T) {
	for name, c := range map[string]struct {
		stateless, stateful int32
		standbys            int
		members             []string
		want                string
	}{
		"to one":                           {2, 1, 0, []string{"a/p"}, "a: 0_0 0_1 1_0\n"},
		"by process, then member":          {4, 0, 0, []string{"a/p", "b/p", "c/q"}, "a: 0_0\nb: 0_2\nc: 0_1 0_3\n"},
		"standbys with another process":    {0, 2, 1, []string{"a/p", "b/q"}, "a: 1_0 standby 1_1\nb: 1_1 standby 1_0\n"},
		"no more standbys than processes":  {0, 1, 5, []string{"a/p", "b/q", "c/q"}, "a: 1_0\nb: standby 1_0\nc:\n"},
		"no standbys of what has no state": {2, 0, 1, []string{"a/p", "b/q"}, "a: 0_0\nb: 0_1\n"},
	} {
		if got, _ := run(assignable(c.stateless, c.stateful), c.standbys, nil, c.members...); got != c.want {
			t.Errorf("%s:\n%swant\n%s", name, got, c.want)
		}
	}
}

// TestTasksStay has a member more and one fewer: the others keep what they had but for the share of the new one, and whoever
// was standby of what the lost one did goes on with it.
func TestTasksStay(t *testing.T) {
	c := assignable(0, 6)
	_, had := run(c, 1, nil, "a/p", "b/q")
	_, three := run(c, 1, had, "a/p", "b/q", "c/r")
	for _, id := range []string{"a", "b"} {
		for task := range three[id][Active] {
			if _, ok := had[id][Active][task]; !ok {
				t.Errorf("%s got %v, which was another's", id, task)
			}
		}
		if n := len(three[id][Active]); n != 2 {
			t.Errorf("%s has %d tasks of 6, with 3 members", id, n)
		}
	}
	_, two := run(c, 1, three, "a/p", "c/r")
	moved := 0
	for _, id := range []string{"a", "c"} {
		for task := range three[id][Active] {
			if _, ok := two[id][Active][task]; !ok {
				t.Errorf("%s lost %v", id, task)
			}
		}
		for task := range two[id][Active] {
			if _, standby := three[id][Standby][task]; standby {
				moved++
			}
		}
	}
	if moved != 2 {
		t.Errorf("%d tasks of the lost member went to a standby of theirs", moved)
	}
}

// TestEveryTaskIsAssignedOnce assigns at random, over and over from what came of the time before.
func TestEveryTaskIsAssignedOnce(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		had := map[string]Assignment{}
		for range 5 {
			c, standbys := assignable(rnd.Int32N(7), 1+rnd.Int32N(7)), rnd.IntN(3)
			var members []string
			processOf := map[string]string{}
			for i := range 1 + rnd.IntN(6) {
				id, process := fmt.Sprintf("m%d", i), fmt.Sprintf("p%d", rnd.IntN(3))
				members, processOf[id] = append(members, id+"/"+process), process
			}
			var text string
			text, had = run(c, standbys, had, members...)
			checkShares(t, c, standbys, processOf, had, text)
		}
	}
}

func checkShares(t *testing.T, c *configured, standbys int, processOf map[string]string, got map[string]Assignment, text string) {
	t.Helper()
	active, copies, processes := map[Task]int{}, map[Task]int{}, map[string]bool{}
	seen := map[string]bool{}
	for id, a := range got {
		processes[processOf[id]] = true
		for role := range a {
			for task := range a[role] {
				at := fmt.Sprint(processOf[id], task)
				if seen[at] {
					t.Fatalf("%v is twice with a process:\n%s", task, text)
				}
				seen[at] = true
				if Role(role) == Active {
					active[task]++
				} else {
					copies[task]++
				}
			}
		}
	}
	for sub, n := range c.tasks {
		for p := range n {
			task, want := Task{sub, p}, 0
			if sub == "1" {
				want = min(standbys, len(processes)-1)
			}
			if active[task] != 1 || copies[task] != want {
				t.Fatalf("%v is assigned %d times and has %d standbys of %d:\n%s", task, active[task], copies[task], want, text)
			}
		}
	}
}

// TestTasksAreSharedOutAsByKafka compares with what Kafka's own assignor made of the same members, one after the other.
func TestTasksAreSharedOutAsByKafka(t *testing.T) {
	text, err := os.ReadFile("testdata/sticky.txt")
	if err != nil {
		t.Fatal(err)
	}
	var had map[string]Assignment
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		words := strings.Fields(line)
		if words[0] == "#" {
			continue
		}
		if words[0] == "-" {
			had = nil
		}
		var n [3]int32
		for at := range n {
			fmt.Sscan(words[1+at], &n[at])
		}
		var members []string
		want := map[string]Assignment{}
		for at := 4; at < len(words); at += 2 {
			members = append(members, words[at])
			var a Assignment
			active, standby, _ := strings.Cut(words[at+1], ";")
			addTasks(&a, Active, active)
			addTasks(&a, Standby, standby)
			id, _, _ := strings.Cut(words[at], "/")
			want[id] = a
		}
		_, had = run(assignable(n[0], n[1]), int(n[2]), had, members...)
		for id, a := range want {
			if !had[id].Equal(a) {
				t.Errorf("line %d: %s gets %v, want %v", i+1, id, had[id], a)
			}
		}
		had = want
	}
}

func addTasks(a *Assignment, role Role, list string) {
	for _, one := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		sub, p, _ := strings.Cut(one, "_")
		task := Task{Subtopology: sub}
		fmt.Sscan(p, &task.Partition)
		a.add(role, task, 0)
	}
}
