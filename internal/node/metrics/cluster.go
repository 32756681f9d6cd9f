package metrics

import (
	"net"
	"strconv"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// cluster gives out what the metadata tells.
func (c *collector) cluster(out sink, img *metadata.Image) {
	var topics, partitions, leaderless, moved int
	for t := range img.Topics() {
		if topics++; topics <= c.MaxPartitions {
			out.put("kafka_topic_partitions", float64(len(t.Partitions)), t.Name)
		}
		partitions += len(t.Partitions)
		for _, p := range t.Partitions {
			switch {
			case p.Leader == kafka.NoNode:
				leaderless++
			case len(p.Replicas) > 0 && p.Replicas[0] != p.Leader:
				moved++
			}
		}
	}
	active, brokers := 0, img.Brokers()
	for _, n := range brokers {
		if n.Active() {
			active++
		}
		if len(n.Listeners) > 0 {
			at := n.Listeners[0]
			out.put("kafka_broker_info", 1, net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))), strconv.Itoa(int(n.ID)))
		}
	}
	const prefix = "kafka_controller_kafkacontroller_"
	out.put("kafka_brokers", float64(len(brokers)))
	out.put(prefix+"globaltopiccount", float64(img.TopicCount()))
	out.put(prefix+"globalpartitioncount", float64(partitions))
	out.put(prefix+"offlinepartitionscount", float64(leaderless))
	out.put(prefix+"preferredreplicaimbalancecount", float64(moved))
	out.put(prefix+"activebrokercount", float64(active))
	out.put(prefix+"fencedbrokercount", float64(len(brokers)-active))
	out.put("kafka_controller_controllerstats_uncleanleaderelections_total", 0)
}

// raft gives out the state of the metadata quorum.
func (c *collector) raft(out sink, now time.Time) {
	const prefix = "kafka_server_raftmetrics_"
	st, stats := c.Quorum.Status(), c.Quorum.Stats()
	state := "follower"
	if st.Leads {
		state = "leader"
	}
	out.yes("kafka_controller_kafkacontroller_activecontrollercount", st.Leads, nil)
	out.put(prefix+"current_leader", float64(st.Leader))
	out.put(prefix+"current_vote", float64(st.Vote))
	out.put(prefix+"current_epoch", float64(st.Term))
	out.put(prefix+"current_state", 1, state)
	out.put(prefix+"high_watermark", float64(st.Applied+1))
	out.put(prefix+"log_end_offset", float64(st.End))
	out.put("headrace_metadata_applied_offset", float64(st.Applied))
	out.times("headrace_metadata_commit_seconds", stats.Commits)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, n, sum := c.commits.since(now, stats.Commits.Count(), stats.Commits.Sum); n > 0 {
		out.put(prefix+"commit_latency_avg", sum.Seconds()*1000/float64(n))
	}
	elapsed, n, _ := c.appends.since(now, stats.Proposed, 0)
	out.put(prefix+"append_records_rate", float64(n)/elapsed.Seconds())
}
