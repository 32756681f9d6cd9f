package streams

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// configured is a topology with the topics that there are: how many partitions each internal topic is to have, and how many
// tasks each subtopology. It is never changed.
type configured struct {
	topology *Topology
	tasks    map[string]int32 // subtopology → how many; nil while that cannot be told
	counts   map[string]int32 // internal topic → its partitions
	missing  []InternalTopic  // internal topics that there are not yet, by name, with their partitions
	wrong    *Status          // what keeps tasks from being assigned; nil when the group may work
}

// Status is something that members are told about their group.
type Status struct {
	Code   int8
	Detail string
}

// The codes of Status.
const (
	StaleTopology                int8 = 0
	MissingSourceTopics          int8 = 1
	IncorrectlyPartitionedTopics int8 = 2
	MissingInternalTopics        int8 = 3
	ShutdownApplication          int8 = 4
	AssignmentDelayed            int8 = 5
)

// Error makes a Status say why a topology cannot be worked on.
func (s *Status) Error() string { return s.Detail }

func wronglyPartitioned(format string, args ...any) error {
	return &Status{IncorrectlyPartitionedTopics, fmt.Sprintf(format, args...)}
}

// configure decides on the partitions of the internal topics. What the user has to mend becomes a Status; the error says that
// the topology makes no sense.
func configure(t *Topology, topics Topics) (*configured, error) {
	c := &configured{topology: t, counts: make(map[string]int32)}
	err := (&configuration{configured: c, topics: topics}).run()
	if status, ok := err.(*Status); ok {
		return &configured{topology: t, wrong: status}, nil
	}
	return c, err
}

// configuration is a configure under way.
type configuration struct {
	*configured
	topics Topics
}

func (c *configuration) run() error {
	if err := c.sourcesExist(); err != nil {
		return err
	}
	if err := c.repartition(); err != nil {
		return err
	}
	if err := c.copartition(); err != nil {
		return err
	}
	c.tasks = make(map[string]int32)
	for i := range c.topology.Subtopologies {
		s := &c.topology.Subtopologies[i]
		most, err := c.mostPartitions(s)
		if err != nil {
			return err
		}
		c.tasks[s.ID] = most
		for _, log := range s.Changelogs {
			c.counts[log.Name] = most
		}
	}
	return c.compare()
}

// existing is the partitions of a topic that there is.
func existing(topics Topics, name string) (int32, bool) {
	id, ok := topics.ID(name)
	if !ok {
		return 0, false
	}
	return topics.Partitions(id), true
}

// partitions is how many a topic has, or will have.
func (c *configuration) partitions(name string) (int32, bool) {
	if n, ok := existing(c.topics, name); ok {
		return n, true
	}
	n, ok := c.counts[name]
	return n, ok
}

func (c *configuration) sourcesExist() error {
	var missing []string
	for _, s := range c.topology.Subtopologies {
		for _, name := range s.Sources {
			if _, ok := c.topics.ID(name); !ok {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return &Status{MissingSourceTopics, fmt.Sprintf("Source topics %s are missing.", summary(slices.Compact(missing)))}
}

// summary names some of the topics.
func summary(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d additional topics", strings.Join(names[:most], ", "), len(names)-most)
}

// repartition decides on the partitions of repartition topics: as many as the topology says, or as the widest topic that is
// read where they are written. That may be a repartition topic itself, so it takes rounds.
func (c *configuration) repartition() error {
	for _, s := range c.topology.Subtopologies {
		for _, t := range s.RepartitionSources {
			if t.Partitions != 0 {
				c.counts[t.Name] = t.Partitions
			}
		}
	}
	for open := true; open; {
		open = false
		progress := false
		for i := range c.topology.Subtopologies {
			s := &c.topology.Subtopologies[i]
			for _, sink := range s.RepartitionSinks {
				if _, ok := c.counts[sink]; ok {
					continue
				}
				if n, ok := c.widest(s); ok {
					c.counts[sink], progress = n, true
				} else {
					open = true
				}
			}
		}
		if open && !progress {
			return refuse(kerr.StreamsInvalidTopology, "Failed to compute number of partitions for all repartition topics. There may be loops in the topology that cannot be resolved.")
		}
	}
	for _, s := range c.topology.Subtopologies {
		for _, t := range s.RepartitionSources {
			if _, ok := c.counts[t.Name]; !ok {
				return refuse(kerr.StreamsInvalidTopology, "Failed to compute number of partitions for all repartition topics, because a repartition source topic is never used as a sink topic.")
			}
		}
	}
	return nil
}

// widest is the most partitions of a topic that s reads, as far as they are decided on.
func (c *configuration) widest(s *Subtopology) (most int32, ok bool) {
	for _, t := range s.RepartitionSources {
		if n, decided := c.counts[t.Name]; decided {
			most, ok = max(most, n), true
		}
	}
	for _, name := range s.Sources {
		if n, exists := existing(c.topics, name); exists {
			most, ok = max(most, n), true
		}
	}
	return most, ok
}

// mostPartitions is how many tasks s has.
func (c *configuration) mostPartitions(s *Subtopology) (int32, error) {
	var most int32
	for _, name := range s.inputs() {
		n, _ := c.partitions(name)
		most = max(most, n)
	}
	if most == 0 {
		return 0, refuse(kerr.StreamsInvalidTopology, "No source topics found for subtopology %s", s.ID)
	}
	return most, nil
}

// copartition gives repartition topics that are read together the same number of partitions.
func (c *configuration) copartition() error {
	fixed, flexible := make(map[string]bool), make(map[string]bool)
	for _, s := range c.topology.Subtopologies {
		for _, t := range s.RepartitionSources {
			if t.Partitions != 0 {
				fixed[t.Name] = true
			} else {
				flexible[t.Name] = true
			}
		}
	}
	for i := range c.topology.Subtopologies {
		s := &c.topology.Subtopologies[i]
		for _, together := range s.Copartitioned {
			if names := together.names(s); len(names) > 0 {
				if err := c.level(names, fixed, flexible); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *configuration) level(names []string, fixed, flexible map[string]bool) error {
	internal, external := make(map[string]int32), make(map[string]int32)
	for _, name := range names {
		n, _ := c.partitions(name)
		if fixed[name] || flexible[name] {
			internal[name] = n
		} else {
			external[name] = n
		}
	}
	var want int32
	switch {
	case len(external) > 0:
		var err error
		if want, err = allTheSame(external); err != nil {
			return err
		}
	case len(fixed) > 0:
		for _, name := range slices.Sorted(maps.Keys(fixed)) {
			n, _ := c.partitions(name)
			if want != 0 && n != want {
				return wronglyPartitioned("Following topics do not have the same number of partitions: [%s]", counted(internal))
			}
			want = n
		}
	default:
		for _, n := range internal {
			want = max(want, n)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(internal)) {
		if fixed[name] && internal[name] != want {
			return wronglyPartitioned("Number of partitions [%d] of repartition topic [%s] doesn't match number of partitions [%d] of the source topic.",
				internal[name], name, want)
		}
		c.counts[name] = want
	}
	return nil
}

func allTheSame(counts map[string]int32) (int32, error) {
	var want int32
	for _, n := range counts {
		if want != 0 && n != want {
			return 0, wronglyPartitioned("Following topics do not have the same number of partitions: [%s]", counted(counts))
		}
		want = n
	}
	return want, nil
}

// counted are topics and their partitions as Kafka prints them.
func counted(counts map[string]int32) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s=%d", name, counts[name]))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// compare finds what is still to be made, and refuses what is there in another size.
func (c *configuration) compare() error {
	wanted := make(map[string]InternalTopic)
	for _, s := range c.topology.Subtopologies {
		for _, t := range slices.Concat(s.RepartitionSources, s.Changelogs) {
			if t.Partitions == 0 {
				t.Partitions = c.counts[t.Name]
			}
			wanted[t.Name] = t
		}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		n, exists := existing(c.topics, name)
		if !exists {
			names, c.missing = append(names, name), append(c.missing, wanted[name])
			continue
		}
		if n != wanted[name].Partitions {
			return wronglyPartitioned("Existing topic %s has different number of partitions: expected %d, found %d", name, wanted[name].Partitions, n)
		}
	}
	if len(c.missing) > 0 {
		c.wrong = &Status{MissingInternalTopics, "Internal topics are missing: " + summary(names)}
	}
	return nil
}

// stateful tells whether the tasks of a subtopology have state that standbys can keep.
func (s *Subtopology) stateful() bool { return len(s.Changelogs) > 0 }
