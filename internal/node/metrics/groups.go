package metrics

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/groups"
)

// What a look at all groups may cost: it is kept for refresh, waits for the coordinators no longer than patience, and reads
// the headers of at most maxReads batches, for at most readTime, to learn how old is what groups have not consumed.
const (
	refresh  = 10 * time.Second
	patience = time.Second
	maxReads = 2000
	readTime = 100 * time.Millisecond
)

// surveyor is what the groups are looked at through: groups.Groups is the one implementation.
type surveyor interface {
	Survey(ctx context.Context, most int) (groups.Survey, error)
}

// lags looks at the groups, and remembers for a while what it saw.
type lags struct {
	groups surveyor
	most   int

	mu   sync.Mutex // held while a scrape looks: others wait for what it sees
	at   time.Time
	last view
	// ages are when records at committed offsets were written, as long as the groups stay there.
	ages map[place]written
}

// view is the groups as they were seen.
type view struct {
	groups.Survey
	behind  []behind
	ageless int // of behind, those whose age is not known
}

// place is a group in a partition.
type place struct {
	group string
	at    kafka.TopicPartition
}

// written is when the record at an offset was, in milliseconds.
type written struct {
	offset kafka.Offset
	millis int64
	ok     bool
}

// behind is how far a group is behind in a partition.
type behind struct {
	place
	offset, end kafka.Offset
	written     written // of the record at offset; not ok where there is none, or it is not known
}

// look gives what was seen at most refresh ago.
func (l *lags) look(now time.Time, parts []hosted) view {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() || now.Sub(l.at) >= refresh {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		// After an error, which is that of the time, what was seen before is as good as half of what is now.
		if s, err := l.groups.Survey(ctx, l.most); err == nil {
			l.last = l.measure(s, parts)
		}
		l.at = now
	}
	return l.last
}

// measure holds what groups have committed against the partitions.
func (l *lags) measure(s groups.Survey, parts []hosted) view {
	v := view{Survey: s}
	here := make(map[kafka.TopicPartition]*hosted, len(parts))
	for i := range parts {
		if parts[i].stats.Leads {
			here[parts[i].Name()] = &parts[i]
		}
	}
	ages, reads := map[place]written{}, budget{left: maxReads, until: time.Now().Add(readTime)}
	for i := range s.Groups {
		for _, p := range s.Groups[i].Offsets {
			part, ok := here[p.Partition]
			if !ok {
				continue // the topic is gone, or led by another node
			}
			b := behind{place: place{s.Groups[i].ID, p.Partition}, offset: p.Offset, end: part.HighWatermark()}
			if b.offset < b.end {
				b.written = l.age(b, part, &reads)
				if ages[b.place] = b.written; !b.written.ok {
					v.ageless++
				}
			}
			v.behind = append(v.behind, b)
		}
	}
	l.ages = ages
	return v
}

// budget bounds what is read for one look.
type budget struct {
	left  int
	until time.Time
}

func (b *budget) take() bool {
	b.left--
	return b.left >= 0 && (b.left%16 != 0 || time.Now().Before(b.until))
}

// age finds when the first record that is not consumed was written: what is known from before, or the header of its batch.
// What retention has deleted is not waited for any more, so that the log's start stands for an offset before it.
func (l *lags) age(b behind, p *hosted, reads *budget) written {
	at := max(b.offset, p.stats.Start)
	if w, known := l.ages[b.place]; known && w.ok && w.offset == at {
		return w
	}
	if !reads.take() {
		return written{}
	}
	millis, ok := p.WrittenAt(at)
	return written{at, millis, ok}
}

// lag is how many records are not consumed.
func (b behind) lag() float64 { return float64(max(b.end-b.offset, 0)) }

// seconds is how old the first of them is.
func (b behind) seconds(now time.Time) (age float64, ok bool) {
	if b.offset >= b.end {
		return 0, true
	}
	return max(float64(now.UnixMilli()-b.written.millis)/1000, 0), b.written.ok
}

// consumerGroups gives out states, members and lags.
func (c *collector) consumerGroups(out sink, now time.Time, parts []hosted) {
	v := c.groups.look(now, parts)
	states, members := map[string]int{"Empty": 0, "PreparingRebalance": 0, "CompletingRebalance": 0, "Stable": 0}, 0
	for i, g := range v.Groups {
		states[g.State]++
		members += g.Members
		if i < c.MaxOffsets {
			out.put("kafka_consumergroup_members", float64(g.Members), g.ID)
		}
	}
	const prefix = "kafka_coordinator_group_groupmetadatamanager_numgroups"
	for state, n := range states {
		out.put("headrace_groups", float64(n), state)
	}
	out.put(prefix, float64(len(v.Groups)))
	out.put(prefix+"empty", float64(states["Empty"]))
	out.put(prefix+"stable", float64(states["Stable"]))
	out.put(prefix+"preparingrebalance", float64(states["PreparingRebalance"]))
	out.put(prefix+"completingrebalance", float64(states["CompletingRebalance"]))
	out.put("headrace_group_members", float64(members))
	out.put("headrace_group_shards_loading", float64(v.Loading))
	out.put("headrace_metrics_left_out", float64(v.Left), "groups")
	out.put("headrace_metrics_left_out", float64(v.ageless), "ages")
	out.lags(now, v.behind)
}

// lags gives out each partition of each group, and their sums a topic: behind is sorted by both within a group.
func (s sink) lags(now time.Time, all []behind) {
	var offsets, lag float64
	for i, b := range all {
		of := s.label("kafka_consumergroup_lag", b.group, strconv.Itoa(int(b.at.Partition)), b.at.Topic)
		s.sample("kafka_consumergroup_current_offset", float64(b.offset), of)
		s.sample("kafka_consumergroup_lag", b.lag(), of)
		if age, ok := b.seconds(now); ok {
			s.sample("headrace_consumergroup_lag_seconds", age, of)
		}
		offsets, lag = offsets+float64(b.offset), lag+b.lag()
		if next := i + 1; next == len(all) || all[next].group != b.group || all[next].at.Topic != b.at.Topic {
			sum := s.label("kafka_consumergroup_lag_sum", b.group, b.at.Topic)
			s.sample("kafka_consumergroup_current_offset_sum", offsets, sum)
			s.sample("kafka_consumergroup_lag_sum", lag, sum)
			offsets, lag = 0, 0
		}
	}
}
