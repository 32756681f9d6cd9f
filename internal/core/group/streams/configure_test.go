package streams

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// sub is a part of a topology in words: in=a,b re=r:3 out=s log=l together=0+r0
func sub(t *testing.T, id, words string) Subtopology {
	t.Helper()
	s := Subtopology{ID: id}
	for _, w := range strings.Fields(words) {
		name, list, _ := strings.Cut(w, "=")
		for _, one := range strings.Split(list, ",") {
			topic := InternalTopic{Name: one}
			if at, n, ok := strings.Cut(one, ":"); ok {
				topic.Name = at
				fmt.Sscan(n, &topic.Partitions)
			}
			switch name {
			case "in":
				s.Sources = append(s.Sources, one)
			case "re":
				s.RepartitionSources = append(s.RepartitionSources, topic)
			case "out":
				s.RepartitionSinks = append(s.RepartitionSinks, one)
			case "log":
				s.Changelogs = append(s.Changelogs, topic)
			case "together":
				var c Copartitioned
				for i := range s.Sources {
					c.Sources = append(c.Sources, int16(i))
				}
				for i := range s.RepartitionSources {
					c.RepartitionSources = append(c.RepartitionSources, int16(i))
				}
				s.Copartitioned = append(s.Copartitioned, c)
			default:
				t.Fatalf("%q is no word of a topology", w)
			}
		}
	}
	return s
}

func TestInternalTopicsGetTheirPartitions(t *testing.T) {
	for name, c := range map[string]struct {
		topics string // a:3 …
		subs   []string
		want   string
	}{
		"sources are missing": {"", []string{"in=e,b,a,d,c"}, "status 1: Source topics a, b, c and 2 additional topics are missing."},
		"as wide as what is read": {"a:3 b:5", []string{"in=a,b out=r", "re=r log=l"},
			"tasks 0:5 1:5 missing l:5 r:5 status 3: Internal topics are missing: l, r"},
		"through another": {"a:3", []string{"in=a out=r", "re=r out=q", "re=q log=l"},
			"tasks 0:3 1:3 2:3 missing l:3 q:3 r:3 status 3: Internal topics are missing: l, q, r"},
		"all there": {"a:3 r:3 l:3", []string{"in=a out=r", "re=r log=l"}, "tasks 0:3 1:3"},
		"one of another size": {"a:3 r:3 l:2", []string{"in=a out=r", "re=r log=l"},
			"status 2: Existing topic l has different number of partitions: expected 3, found 2"},
		"fixed": {"a:3", []string{"in=a out=r", "re=r:7 log=l"}, "tasks 0:3 1:7 missing l:7 r:7 status 3: Internal topics are missing: l, r"},
		"together with a source": {"a:3 b:5", []string{"in=a out=r", "in=b re=r together=x"},
			"tasks 0:3 1:5 missing r:5 status 3: Internal topics are missing: r"},
		"together, and not the same": {"a:3 b:5", []string{"in=a,b together=x"},
			"status 2: Following topics do not have the same number of partitions: [{a=3, b=5}]"},
		"fixed, and not as the source": {"a:3 b:5", []string{"in=a out=r", "in=b re=r:4 together=x"},
			"status 2: Number of partitions [4] of repartition topic [r] doesn't match number of partitions [5] of the source topic."},
		"two that are fixed": {"a:3", []string{"in=a out=r,q", "re=r:4,q:5 together=x"},
			"status 2: Following topics do not have the same number of partitions: [{q=5, r=4}]"},
		"only internal ones": {"a:3 b:5", []string{"in=a out=r", "in=b out=q", "re=r,q together=x"},
			"tasks 0:3 1:5 2:5 missing q:5 r:5 status 3: Internal topics are missing: q, r"},
		"a loop":        {"a:3", []string{"re=q out=r", "re=r out=q", "in=a"}, "refused: Failed to compute number of partitions for all repartition topics. There may be loops in the topology that cannot be resolved."},
		"never written": {"a:3", []string{"in=a", "re=r"}, "refused: Failed to compute number of partitions for all repartition topics, because a repartition source topic is never used as a sink topic."},
		"no sources":    {"", []string{"log=l"}, "refused: No source topics found for subtopology 0"},
	} {
		t.Run(name, func(t *testing.T) {
			topics := &cluster{}
			for _, w := range strings.Fields(c.topics) {
				at, n, _ := strings.Cut(w, ":")
				var partitions int32
				fmt.Sscan(n, &partitions)
				topics.create(at, partitions)
			}
			topology := &Topology{}
			for i, words := range c.subs {
				topology.Subtopologies = append(topology.Subtopologies, sub(t, fmt.Sprint(i), words))
			}
			if got := configuredInWords(configure(topology.finish(), topics)); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

func configuredInWords(c *configured, err error) string {
	if err != nil {
		if !errors.Is(err, kerr.StreamsInvalidTopology) {
			return "an error of another kind: " + err.Error()
		}
		return "refused: " + err.Error()
	}
	var words []string
	if c.tasks != nil {
		words = append(words, "tasks")
		for i := range c.topology.Subtopologies {
			id := c.topology.Subtopologies[i].ID
			words = append(words, fmt.Sprintf("%s:%d", id, c.tasks[id]))
		}
	}
	if c.missing != nil {
		words = append(words, "missing")
		for _, topic := range c.missing {
			words = append(words, fmt.Sprintf("%s:%d", topic.Name, topic.Partitions))
		}
	}
	if c.wrong != nil {
		words = append(words, fmt.Sprintf("status %d: %s", c.wrong.Code, c.wrong.Detail))
	}
	return strings.Join(words, " ")
}
