package share

import "github.com/headrace/headrace/internal/base/kafka"

// Deleting notes that the state of all the group's partitions is to be deleted, and returns them. Topics that an earlier
// deletion did not come to the end of are among them, with all their partitions: of those it is no longer known which had state.
func (t *Turn) Deleting(g *Group) []Partitions {
	s := g.state()
	all, names := make(map[kafka.TopicID][]int32), make(map[kafka.TopicID]string)
	for _, topics := range []map[kafka.TopicID]topicState{s.initialized, s.initializing} {
		for id, topic := range topics {
			all[id], names[id] = union(all[id], topic.partitions), topic.name
		}
	}
	for id, name := range s.deleting {
		if n := t.Topics.Partitions(id); n > 0 {
			all[id], names[id] = without(n, nil), name
		}
	}
	if len(all) == 0 {
		return nil
	}
	t.record(stateRecord(g.ID, states{deleting: names}))
	var topics []Partitions
	for _, id := range sortedIDs(all) {
		topics = append(topics, Partitions{Topic: id, Partitions: all[id]})
	}
	return topics
}
