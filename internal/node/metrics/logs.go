package metrics

import (
	"strconv"
	"time"

	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/partition"
)

// hosted is a partition of this node, looked at once a scrape.
type hosted struct {
	*partition.Partition
	stats partition.Stats
}

// traffic gives out what went in and out, by topic and of all.
func (c *collector) traffic(out sink, set partition.SetStats, parts []hosted) {
	out.times("headrace_flush_seconds", set.Flushes)
	out.put("headrace_flushed_logs_total", float64(set.FlushedLogs))
	out.put("headrace_unflushed_partitions", float64(set.Dirty))
	out.put("headrace_retired_segments_total", float64(set.RetiredSegments))
	out.put("headrace_requests_waiting", float64(set.Waiting))
	all, topics := set.Gone, 0
	for i := 0; i < len(parts); {
		topic, of := parts[i].Name().Topic, partition.Traffic{}
		for ; i < len(parts) && parts[i].Name().Topic == topic; i++ {
			of.Add(parts[i].stats.Traffic)
		}
		all.Add(of)
		if topics++; topics <= c.MaxPartitions {
			out.traffic(topic, of)
		}
	}
	out.traffic("", c.rising(all))
	out.put("headrace_metrics_left_out", float64(max(topics-c.MaxPartitions, 0)), "topics")
}

// rising makes sure that sums never sink: what a partition counted while it was being deleted may be in one scrape and not in
// the next, and Prometheus would take that for a restart.
func (c *collector) rising(t partition.Traffic) partition.Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &c.total
	w.Messages, w.BytesIn, w.BytesOut = max(w.Messages, t.Messages), max(w.BytesIn, t.BytesIn), max(w.BytesOut, t.BytesOut)
	w.Produces, w.FailedProduces = max(w.Produces, t.Produces), max(w.FailedProduces, t.FailedProduces)
	w.Fetches, w.FailedFetches = max(w.Fetches, t.Fetches), max(w.FailedFetches, t.FailedFetches)
	return *w
}

func (s sink) traffic(topic string, t partition.Traffic) {
	const prefix = "kafka_server_brokertopicmetrics_"
	of := s.label(prefix+"messagesin_total", topic)
	s.sample(prefix+"messagesin_total", float64(t.Messages), of)
	s.sample(prefix+"bytesin_total", float64(t.BytesIn), of)
	s.sample(prefix+"bytesout_total", float64(t.BytesOut), of)
	s.sample(prefix+"totalproducerequests_total", float64(t.Produces), of)
	s.sample(prefix+"totalfetchrequests_total", float64(t.Fetches), of)
	s.sample(prefix+"failedproducerequests_total", float64(t.FailedProduces), of)
	s.sample(prefix+"failedfetchrequests_total", float64(t.FailedFetches), of)
}

// partitions gives out what is told of each partition, and the counts over them.
func (c *collector) partitions(out sink, now time.Time, img *metadata.Image, parts []hosted) {
	var leads, under, below, at, late, producers int
	for i := range parts {
		p := &parts[i]
		producers += p.stats.Producers
		given, ok := img.Partition(p.Name())
		if !ok || given.Leader != c.Node {
			continue // deleted since, or led by another
		}
		leads++
		least := p.MinISR(len(given.Replicas))
		if len(given.ISR) < len(given.Replicas) {
			under++
		}
		if len(given.ISR) < least {
			below++
		}
		if len(given.ISR) == least {
			at++
		}
		if c.late(now, p.stats.TxnWritten) {
			late++
		}
		if leads <= c.MaxPartitions {
			out.partition(p, given, least)
		}
	}
	out.put("kafka_server_replicamanager_partitioncount", float64(len(parts)))
	out.put("kafka_server_replicamanager_leadercount", float64(leads))
	out.put("kafka_server_replicamanager_underreplicatedpartitions", float64(under))
	out.put("kafka_server_replicamanager_underminisrpartitioncount", float64(below))
	out.put("kafka_server_replicamanager_atminisrpartitioncount", float64(at))
	out.put("kafka_server_replicamanager_partitionswithlatetransactionscount", float64(late))
	out.put("kafka_server_replicamanager_produceridcount", float64(producers))
	out.put("headrace_metrics_left_out", float64(max(leads-c.MaxPartitions, 0)), "partitions")
}

// late tells whether a transaction whose producer last wrote at the given time, in milliseconds, should have ended. As in Apache Kafka,
// its coordinator has five minutes more.
func (c *collector) late(now time.Time, written int64) bool {
	return written > 0 && now.Sub(time.UnixMilli(written)) > c.MaxTransaction+5*time.Minute
}

func (s sink) partition(p *hosted, given metadata.Partition, least int) {
	of := s.label("kafka_log_log_size", strconv.Itoa(int(p.Name().Partition)), p.Name().Topic)
	replicas, inSync := len(given.Replicas), len(given.ISR)
	s.sample("kafka_cluster_partition_replicascount", float64(replicas), of)
	s.sample("kafka_topic_partition_replicas", float64(replicas), of)
	s.sample("kafka_cluster_partition_insyncreplicascount", float64(inSync), of)
	s.sample("kafka_topic_partition_in_sync_replica", float64(inSync), of)
	s.yes("kafka_cluster_partition_underreplicated", inSync < replicas, of)
	s.yes("kafka_topic_partition_under_replicated_partition", inSync < replicas, of)
	s.yes("kafka_cluster_partition_underminisr", inSync < least, of)
	s.yes("kafka_cluster_partition_atminisr", inSync == least, of)
	s.sample("kafka_topic_partition_leader", float64(given.Leader), of)
	s.yes("kafka_topic_partition_leader_is_preferred", replicas > 0 && given.Replicas[0] == given.Leader, of)
	st := p.stats
	if !st.Open {
		return // until the log is opened, nothing is known of it
	}
	s.sample("kafka_log_log_size", float64(st.Size), of)
	s.sample("kafka_log_log_numlogsegments", float64(st.Segments), of)
	s.sample("kafka_log_log_logstartoffset", float64(st.Start), of)
	s.sample("kafka_log_log_logendoffset", float64(st.End), of)
	s.sample("kafka_topic_partition_current_offset", float64(p.HighWatermark()), of)
	s.sample("kafka_topic_partition_oldest_offset", float64(st.Start), of)
}

// compaction gives out how far it is behind.
func (c *collector) compaction(out sink, now time.Time) {
	var running, stopped int
	var dirty int64
	var ratio float64
	var overdue time.Duration
	for _, st := range c.Partitions.CleaningStats(now) {
		if st.Running {
			running++
		}
		if st.Uncleanable != nil {
			stopped++
		}
		dirty, ratio, overdue = dirty+st.DirtyBytes, max(ratio, st.Ratio), max(overdue, st.Overdue)
	}
	out.put("headrace_compaction_running", float64(running))
	out.put("headrace_compaction_stopped_partitions", float64(stopped))
	out.put("headrace_compaction_dirty_bytes", float64(dirty))
	out.put("headrace_compaction_dirtiest_ratio", ratio)
	out.put("headrace_compaction_overdue_seconds", overdue.Seconds())
}

func (c *collector) dirs(out sink, parts []hosted) {
	used, hosts := map[string]int64{}, map[string]int{}
	for _, p := range parts {
		used[p.stats.Dir] += p.stats.Size
		hosts[p.stats.Dir]++
	}
	offline, lost := 0, 0
	for _, d := range c.Dirs() {
		of := out.label("headrace_log_dir_online", d.Path)
		out.yes("headrace_log_dir_online", !d.Offline, of)
		out.sample("headrace_log_dir_used_bytes", float64(used[d.Path]), of)
		if d.Total >= 0 {
			out.sample("headrace_log_dir_size_bytes", float64(d.Total), of)
			out.sample("headrace_log_dir_free_bytes", float64(d.Free), of)
		}
		if d.Offline {
			offline++
			lost += hosts[d.Path]
		}
	}
	out.put("kafka_log_logmanager_offlinelogdirectorycount", float64(offline))
	out.put("kafka_server_replicamanager_offlinereplicacount", float64(lost))
}
