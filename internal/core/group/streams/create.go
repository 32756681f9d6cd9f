package streams

import (
	"fmt"
	"slices"
	"strings"
)

// create asks for the internal topics that are missing, but those that are being made already or could not be made a moment
// ago, and says in the answer why they could not.
func (b *beat) create() {
	live, now := b.Live, b.Now
	var why []string
	for _, topic := range b.configured.missing {
		if f, ok := live.failed[topic.Name]; ok && now.Before(f.until) {
			why = append(why, fmt.Sprintf("%s (%s)", topic.Name, f.why))
			continue
		}
		delete(live.failed, topic.Name)
		if _, ok := live.creating[topic.Name]; ok {
			continue
		}
		if live.creating == nil {
			live.creating = make(map[string]struct{})
		}
		live.creating[topic.Name] = struct{}{}
		b.Out.Create = append(b.Out.Create, topic)
	}
	if len(why) == 0 {
		return
	}
	const most = 3
	list := strings.Join(why[:min(most, len(why))], ", ")
	if len(why) > most {
		list += fmt.Sprintf(" and %d more", len(why)-most)
	}
	i := slices.IndexFunc(b.status, func(s Status) bool { return s.Code == MissingInternalTopics })
	b.status[i].Detail += "; Creation failed: " + list + "."
}

// Created is what came of Out.Create: failed says of topics why they could not be made. The members hear of those for two
// heartbeats; then it is tried again.
func (t *Turn) Created(topics []InternalTopic, failed map[string]string) {
	for _, topic := range topics {
		delete(t.Live.creating, topic.Name)
		why, ok := failed[topic.Name]
		if !ok {
			continue
		}
		if t.Live.failed == nil {
			t.Live.failed = make(map[string]failure)
		}
		t.Live.failed[topic.Name] = failure{why: why, until: t.Now.Add(2 * t.Config.HeartbeatInterval)}
	}
}
