package metrics

//go:generate go test -run ^TestMetricsPageIsUpToDate$ . -args -write

// Kind is the type of a metric, as Prometheus knows it.
type Kind int8

// The kinds.
const (
	Counter Kind = iota
	Gauge
	Histogram
)

// String is the kind's name in Prometheus' text.
func (k Kind) String() string { return [...]string{"counter", "gauge", "histogram"}[k] }

// Def defines one metric: docs/metrics.md is made of these, and nothing else is exported but process_* and go_*.
type Def struct {
	Name   string
	Kind   Kind
	Labels []string // sorted
	Unit   string   // empty for a plain number
	Help   string
	// From is whose name it is, where it is not ours: dashboards made for that one query it.
	From string
}

// Whose names.
const (
	fromJMX      = "Apache Kafka through jmx_exporter"
	fromExporter = "kafka_exporter"
)

// Table lists the metrics by subject.
func Table() []Def {
	var all []Def
	for _, part := range [][]Def{nodeDefs(), transportDefs(), logDefs(), quorumDefs(), groupDefs()} {
		all = append(all, part...)
	}
	return append(all, kafkaDefs()...)
}

func nodeDefs() []Def {
	return []Def{
		{Name: "headrace_build_info", Kind: Gauge, Labels: []string{"go", "version"}, Help: "Always 1; the labels tell the version and the Go release it was built with."},
		{Name: "headrace_metrics_left_out", Kind: Gauge, Labels: []string{"what"}, Help: "Partitions, topics, groups and ages that are not exported because there are too many."},
		{Name: "headrace_metrics_collect_seconds", Kind: Gauge, Unit: "seconds", Help: "How long the last scrape but this one took to gather."},
	}
}

func transportDefs() []Def {
	return []Def{
		{Name: "headrace_connections", Kind: Gauge, Labels: []string{"listener"}, Help: "Connections that are open."},
		{Name: "headrace_connections_accepted_total", Kind: Counter, Help: "Connections that were taken."},
		{Name: "headrace_connections_closed_total", Kind: Counter, Labels: []string{"reason"}, Help: "Connections that ended, by what ended them: peer, idle, slow, refused (what the client sent), limit (never taken), shutdown, defect."},
		{Name: "headrace_received_bytes_total", Kind: Counter, Unit: "bytes", Help: "Bytes of requests."},
		{Name: "headrace_sent_bytes_total", Kind: Counter, Unit: "bytes", Help: "Bytes of answers."},
		{Name: "headrace_request_seconds", Kind: Histogram, Labels: []string{"api"}, Unit: "seconds", Help: "From the last byte of a request until its answer is ready. A Fetch waits for records as long as its client asks it to."},
		{Name: "headrace_request_errors_total", Kind: Counter, Labels: []string{"api", "error"}, Help: "Errors in answers; each partition, topic, group or resource that is refused counts."},
		{Name: "headrace_requests_queued", Kind: Gauge, Help: "Requests that were read and whose turn on their connection has not come."},
		{Name: "headrace_requests_waiting", Kind: Gauge, Help: "Requests that wait in partitions, once for each: for a flush, or for records."},
		{Name: "headrace_request_memory_bytes", Kind: Gauge, Unit: "bytes", Help: "Memory that requests hold of queued.max.request.bytes."},
		{Name: "headrace_request_memory_limit_bytes", Kind: Gauge, Unit: "bytes", Help: "The memory that all requests may hold together."},
		{Name: "headrace_request_memory_waits_total", Kind: Counter, Help: "Requests that had to wait for memory."},
	}
}

func logDefs() []Def {
	return []Def{
		{Name: "headrace_flush_seconds", Kind: Histogram, Unit: "seconds", Help: "Flush rounds: each makes durable what was appended to its log dir before it began."},
		{Name: "headrace_flushed_logs_total", Kind: Counter, Help: "Logs that flush rounds made durable, once a round."},
		{Name: "headrace_unflushed_partitions", Kind: Gauge, Help: "Partitions that wait for the next flush round."},
		{Name: "headrace_retired_segments_total", Kind: Counter, Help: "Segments that retention deleted."},
		{Name: "headrace_compaction_running", Kind: Gauge, Help: "Partitions that are being compacted."},
		{Name: "headrace_compaction_stopped_partitions", Kind: Gauge, Help: "Partitions whose compaction failed and is not tried again before the next start; the log says why."},
		{Name: "headrace_compaction_dirty_bytes", Kind: Gauge, Unit: "bytes", Help: "Bytes of compacted partitions that could be compacted."},
		{Name: "headrace_compaction_dirtiest_ratio", Kind: Gauge, Unit: "ratio", Help: "The largest part of a compacted partition that could be compacted, from 0 to 1."},
		{Name: "headrace_compaction_overdue_seconds", Kind: Gauge, Unit: "seconds", Help: "By how much max.compaction.lag.ms is passed where it is passed most."},
		{Name: "headrace_log_dir_online", Kind: Gauge, Labels: []string{"dir"}, Help: "1, or 0 after a write or a flush failed there."},
		{Name: "headrace_log_dir_size_bytes", Kind: Gauge, Labels: []string{"dir"}, Unit: "bytes", Help: "Size of the file system below a log dir."},
		{Name: "headrace_log_dir_free_bytes", Kind: Gauge, Labels: []string{"dir"}, Unit: "bytes", Help: "What is free of it."},
		{Name: "headrace_log_dir_used_bytes", Kind: Gauge, Labels: []string{"dir"}, Unit: "bytes", Help: "What the open logs in it take."},
	}
}

func quorumDefs() []Def {
	return []Def{
		{Name: "headrace_metadata_commit_seconds", Kind: Histogram, Unit: "seconds", Help: "From the proposal of a change of the metadata until it is durable and in force."},
		{Name: "headrace_metadata_applied_offset", Kind: Gauge, Help: "The last record of the metadata log that is in force here."},
	}
}

func groupDefs() []Def {
	return []Def{
		{Name: "headrace_groups", Kind: Gauge, Labels: []string{"state"}, Help: "Consumer groups coordinated here."},
		{Name: "headrace_group_members", Kind: Gauge, Help: "Members of all groups coordinated here."},
		{Name: "headrace_group_shards_loading", Kind: Gauge, Help: "Partitions of __consumer_offsets that are being loaded; their groups are not told yet."},
		{Name: "headrace_consumergroup_lag_seconds", Kind: Gauge, Labels: []string{"consumergroup", "partition", "topic"}, Unit: "seconds", Help: "Age of the first record that the group has not consumed, to the batch; 0 when it has consumed all."},
	}
}
