package streams

import (
	"container/heap"
	"slices"
	"strings"
)

// assignee is a member as the assignor sees it.
type assignee struct {
	id, process string
	had         Assignment // its last target
	count       int        // of tasks that it is given
	gets        Assignment
}

// process is the members of one Streams instance: a task is never twice with one.
type process struct {
	id      string
	members []*assignee
	tasks   map[Task]struct{}
	byLoad  *leastFirst[*assignee] // nil after a task was given past it
}

func (p *process) load() float64 { return float64(len(p.tasks)) / float64(len(p.members)) }

func (p *process) has(t Task) bool {
	_, ok := p.tasks[t]
	return ok
}

// sticky is Kafka's sticky assignor of tasks at work: tasks stay where they were, or go where a standby has their state, as
// long as that leaves the members with equal shares; the rest goes to the process with the least load. The order of the
// members decides between equals.
type sticky struct {
	processes []*process // in the order of their ids
	of        map[*assignee]*process
	had       [roles]map[Task][]*assignee

	active, all share
}

// share is how many tasks are to be spread over how many members that have not got their part yet.
type share struct{ tasks, members, each int }

func (s *share) compute() {
	if s.each = 0; s.members > 0 {
		s.each = (s.tasks + s.members - 1) / s.members
	}
}

// given notes that a member has got n tasks: when that is its share, the others' is computed anew.
func (s *share) given(n int) {
	if n == s.each {
		s.members--
		s.tasks -= n
		s.compute()
	}
}

// assign gives every task an active member, and stateful ones as many standbys as there are processes for, up to standbys.
// The members come in the order of their ids; what each gets is left in gets.
func assign(members []*assignee, c *configured, standbys int) {
	s := &sticky{of: make(map[*assignee]*process)}
	s.meet(members)
	var active, stateful []Task
	for i := range c.topology.Subtopologies {
		sub := &c.topology.Subtopologies[i]
		for p := range c.tasks[sub.ID] {
			t := Task{sub.ID, p}
			active = append(active, t)
			if sub.stateful() {
				stateful = append(stateful, t)
			}
		}
	}
	s.active = share{tasks: len(active), members: len(members)}
	s.all = share{tasks: len(active) + standbys*len(stateful), members: len(members)}
	s.active.compute()
	s.all.compute()
	s.assignActive(active)
	if standbys > 0 {
		s.assignStandbys(stateful, standbys)
	}
}

func (s *sticky) meet(members []*assignee) {
	byID := make(map[string]*process)
	for role := range s.had {
		s.had[role] = make(map[Task][]*assignee)
	}
	for _, m := range members {
		p := byID[m.process]
		if p == nil {
			p = &process{id: m.process, tasks: make(map[Task]struct{})}
			byID[m.process], s.processes = p, append(s.processes, p)
		}
		p.members = append(p.members, m)
		s.of[m] = p
		for role := range m.had {
			for t := range m.had[role] {
				s.had[role][t] = append(s.had[role][t], m)
			}
		}
	}
	slices.SortFunc(s.processes, func(a, b *process) int { return strings.Compare(a.id, b.id) })
}

// give makes t m's.
func (s *sticky) give(m *assignee, role Role, t Task) {
	p := s.of[m]
	p.byLoad = nil
	s.put(p, m, role, t)
}

func (s *sticky) put(p *process, m *assignee, role Role, t Task) {
	p.tasks[t] = struct{}{}
	m.gets.add(role, t, 0)
	m.count++
	if role == Active {
		s.active.given(m.count)
	}
	s.all.given(m.count)
}

// giveToLeastLoaded makes t the member's of p that has the fewest tasks.
func (s *sticky) giveToLeastLoaded(p *process, role Role, t Task) {
	if p.byLoad == nil {
		p.byLoad = newLeastFirst(p.members, func(m *assignee) float64 { return float64(m.count) })
	}
	m := heap.Pop(p.byLoad).(*assignee)
	s.put(p, m, role, t)
	heap.Push(p.byLoad, m)
}

func (s *sticky) assignActive(tasks []Task) {
	slices.SortFunc(tasks, byPartition)
	back := func(from Role) {
		tasks = slices.DeleteFunc(tasks, func(t Task) bool {
			had := s.had[from][t]
			if len(had) == 0 {
				return false
			}
			m := had[len(had)-1]
			if from == Standby {
				m = s.leastLoaded(had, nil)
			}
			if m.count >= s.active.each {
				return false
			}
			s.give(m, Active, t)
			return true
		})
	}
	back(Active)
	back(Standby)
	slices.SortFunc(tasks, compareTasks)
	byLoad := newLeastFirst(s.processes, (*process).load)
	for _, t := range tasks {
		p := heap.Pop(byLoad).(*process)
		s.giveToLeastLoaded(p, Active, t)
		heap.Push(byLoad, p)
	}
}

// leastLoaded is the member among those that had a task which has the least to do, or nil when the first one's process has
// the task already.
func (s *sticky) leastLoaded(had []*assignee, t *Task) *assignee {
	taken := func(m *assignee) bool { return t != nil && s.of[m].has(*t) }
	best := had[0]
	processLoad, count := s.of[best].load(), best.count
	for _, m := range had[1:] {
		if load := s.of[m].load(); load < processLoad && !taken(m) && m.count < count {
			best, processLoad, count = m, load, m.count
		}
	}
	if taken(had[0]) {
		return nil
	}
	return best
}

// wantsStandbys is a task with the standbys that nobody was found for yet.
type wantsStandbys struct {
	task Task
	n    int
}

func (s *sticky) assignStandbys(tasks []Task, each int) {
	slices.SortFunc(tasks, func(a, b Task) int { return byPartition(b, a) })
	var open []wantsStandbys
	for _, t := range tasks {
		for i := range each {
			m := s.formerHolder(t)
			if m == nil {
				open = append(open, wantsStandbys{t, each - i})
				break
			}
			s.give(m, Standby, t)
		}
	}
	slices.SortFunc(open, func(a, b wantsStandbys) int { return compareTasks(b.task, a.task) })
	byLoad := newLeastFirst(s.processes, (*process).load)
	for _, w := range open {
		for range w.n {
			if !s.standby(byLoad, w.task) {
				break // there are fewer processes than replicas
			}
		}
	}
}

// formerHolder is who had the state of t and may have it again, or nil.
func (s *sticky) formerHolder(t Task) *assignee {
	if had := s.had[Active][t]; len(had) > 0 {
		if m := had[len(had)-1]; !s.of[m].has(t) && m.count < s.all.each {
			return m
		}
	}
	if had := s.had[Standby][t]; len(had) > 0 {
		if m := s.leastLoaded(had, &t); m != nil && m.count < s.all.each {
			return m
		}
	}
	return nil
}

// standby gives t to the process with the least load that does not have it.
func (s *sticky) standby(byLoad *leastFirst[*process], t Task) bool {
	var passed []*process
	found := false
	for byLoad.Len() > 0 && !found {
		p := heap.Pop(byLoad).(*process)
		if passed = append(passed, p); !p.has(t) {
			s.giveToLeastLoaded(p, Standby, t)
			found = true
		}
	}
	slices.Reverse(passed)
	for _, p := range passed {
		heap.Push(byLoad, p)
	}
	return found
}

// leastFirst is a heap: the first is one of those for which load is least. load changes only of what is not in it.
type leastFirst[T any] struct {
	all  []T
	load func(T) float64
}

func newLeastFirst[T any](all []T, load func(T) float64) *leastFirst[T] {
	h := &leastFirst[T]{load: load}
	for _, one := range all {
		heap.Push(h, one)
	}
	return h
}

func (h *leastFirst[T]) Len() int           { return len(h.all) }
func (h *leastFirst[T]) Less(i, j int) bool { return h.load(h.all[i]) < h.load(h.all[j]) }
func (h *leastFirst[T]) Swap(i, j int)      { h.all[i], h.all[j] = h.all[j], h.all[i] }
func (h *leastFirst[T]) Push(one any)       { h.all = append(h.all, one.(T)) }

func (h *leastFirst[T]) Pop() any {
	last := len(h.all) - 1
	one := h.all[last]
	h.all = h.all[:last]
	return one
}
