package kafkatools

import (
	"context"
	"slices"
	"time"
)

// included are the topics that --include finds: those that are there, and those that come.
type included struct {
	like     matcher
	internal bool // the cluster's own are not left out
	every    time.Duration
	next     time.Time // when to look again
}

// newIncluded reads --include; nil where it is not given.
func (r *reading) newIncluded(s *settings) (*included, error) {
	if !r.line.has("include") {
		return nil, nil
	}
	like, err := newMatcher(r.line.text("include"))
	if err != nil {
		return nil, javaError("java.util.regex.PatternSyntaxException", "%s", err)
	}
	every := time.Duration(s.number("metadata.max.age.ms", "300000")) * time.Millisecond
	return &included{like: like, internal: r.p.or("exclude.internal.topics", "true") != "true", every: max(every, time.Second)}, nil
}

// look has the client read the topics that are found now.
func (i *included) look(ctx context.Context, k *cluster) error {
	if time.Now().Before(i.next) {
		return nil
	}
	names, err := k.topicNames(ctx)
	if err != nil {
		return err
	}
	k.AddConsumeTopics(slices.DeleteFunc(names, func(n string) bool { return !i.like.matches(n) || internalTopic(n) && !i.internal })...)
	i.next = time.Now().Add(i.every)
	return nil
}
