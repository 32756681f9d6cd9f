package assign

import "strings"

// Range gives each subscriber of a topic a run of its partitions; the first subscribers get one more where the numbers do
// not divide. Members keep their place in every topic, so topics with as many partitions and the same subscribers are
// assigned alike, as joins of them need. Static members come first, ordered by their instance, so that a restart of one
// changes nothing.
func Range(members []Member, topics Topics) []Assignment {
	b := newBoard(members, topics, byInstance)
	for t, subscribers := range b.subscribers {
		p, each, extra := b.first[t], b.size(t)/len(subscribers), b.size(t)%len(subscribers)
		for i, m := range subscribers {
			quota := each
			if i < extra {
				quota++
			}
			for range quota {
				b.give(p, m)
				p++
			}
		}
	}
	return b.result(members)
}

func byInstance(a, b *Member) int {
	switch {
	case a.Instance != nil && b.Instance != nil:
		return strings.Compare(*a.Instance, *b.Instance)
	case a.Instance != nil:
		return -1
	case b.Instance != nil:
		return 1
	}
	return byID(a, b)
}
