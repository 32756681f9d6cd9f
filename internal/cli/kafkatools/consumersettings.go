package kafkatools

import (
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func (r *reading) startingAt() (kgo.Offset, error) {
	l := r.line
	offset := kgo.NewOffset()
	if l.has("partition") {
		text := l.text("offset")
		switch {
		case l.has("from-beginning"), strings.EqualFold(text, "earliest"):
			return offset.AtStart(), nil
		case strings.EqualFold(text, "latest"):
			return offset.AtEnd(), nil
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return offset, usage("The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.", text)
		}
		return offset.At(n), nil
	}
	fallback := "latest"
	if l.has("from-beginning") {
		fallback = "earliest"
	}
	switch reset := r.p.or("auto.offset.reset", fallback); reset {
	case "earliest":
		return offset.AtStart(), nil
	case "latest":
		return offset.AtEnd(), nil
	case "none":
		return kgo.NoResetOffset(), nil
	default:
		return offset, configError("Invalid value %s for configuration auto.offset.reset: Invalid value `%s` for configuration auto.offset.reset. The value must be either 'earliest', 'latest', 'none' here", reset, reset)
	}
}

func (r *reading) options() ([]kgo.Opt, error) {
	l := r.line
	s := &settings{p: r.p}
	s.add(kgo.FetchMaxWait(500 * time.Millisecond))
	switch level := r.p.or("isolation.level", l.text("isolation-level")); level {
	case "read_committed":
		s.add(kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	case "read_uncommitted":
	default:
		return nil, configError("Invalid value %s for configuration isolation.level: String must be one of: read_committed, read_uncommitted", level)
	}
	s.consumer()
	switch {
	case l.has("partition"):
		s.add(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.text("topic"): {int32(l.num("partition")): r.start}}))
	case l.has("topic"):
		s.add(kgo.ConsumeTopics(l.text("topic")), kgo.ConsumeResetOffset(r.start))
	default:
		s.add(kgo.ConsumeResetOffset(r.start))
	}
	var err error
	if r.include, err = r.newIncluded(s); err != nil {
		return nil, err
	}
	if r.group != "" {
		s.add(kgo.ConsumerGroup(r.group))
		s.member()
	}
	return s.opts, s.err
}

// consumer are those of a consumer.
func (s *settings) consumer() {
	const most = 100 << 20 // that the client reads at once
	timed(s, "fetch.max.wait.ms", 10*time.Millisecond, time.Hour, kgo.FetchMaxWait)
	sized(s, "fetch.min.bytes", 1, most, kgo.FetchMinBytes)
	sized(s, "fetch.max.bytes", 1, most, kgo.FetchMaxBytes)
	sized(s, "max.partition.fetch.bytes", 1, most, kgo.FetchMaxPartitionBytes)
	if rack := s.p.or("client.rack", ""); rack != "" {
		s.add(kgo.Rack(rack))
	}
	if s.p.or("allow.auto.create.topics", "true") == "true" {
		s.add(kgo.AllowAutoTopicCreation())
	}
}

const assignors = "org.apache.kafka.clients.consumer."

// member are those of a member of a group.
func (s *settings) member() {
	s.add(kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll())
	if s.p.or("enable.auto.commit", "true") == "false" {
		s.add(kgo.DisableAutoCommit())
	}
	if id := s.p.or("group.instance.id", ""); id != "" {
		s.add(kgo.InstanceID(id))
	}
	timed(s, "session.timeout.ms", 100*time.Millisecond, day, kgo.SessionTimeout)
	timed(s, "heartbeat.interval.ms", time.Millisecond, day, kgo.HeartbeatInterval)
	timed(s, "max.poll.interval.ms", 100*time.Millisecond, day, kgo.RebalanceTimeout)
	timed(s, "auto.commit.interval.ms", 100*time.Millisecond, day, kgo.AutoCommitInterval)
	known := map[string]func() kgo.GroupBalancer{
		"RangeAssignor": kgo.RangeBalancer, "RoundRobinAssignor": kgo.RoundRobinBalancer, "StickyAssignor": kgo.StickyBalancer,
		"CooperativeStickyAssignor": kgo.CooperativeStickyBalancer,
	}
	var balancers []kgo.GroupBalancer
	for class := range strings.SplitSeq(s.p.or("partition.assignment.strategy", assignors+"RangeAssignor,"+assignors+"CooperativeStickyAssignor"), ",") {
		balancer := known[strings.TrimPrefix(strings.TrimSpace(class), assignors)]
		if balancer == nil {
			s.err = configError("partition.assignment.strategy: %s is not there in this tool", class)
			return
		}
		balancers = append(balancers, balancer())
	}
	s.add(kgo.Balancers(balancers...))
}
