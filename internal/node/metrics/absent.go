package metrics

import "strings"

// Absent is what dashboards query and this node does not export, because it could not be told truthfully.
type Absent struct {
	Names []string // whole names, or beginnings that end with *
	Why   string
}

// NotExported lists them for docs/metrics.md and the tests that hold dashboards against it.
func NotExported() []Absent {
	return []Absent{
		{[]string{"kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", "kafka_network_socketserver_networkprocessoravgidle_percent"},
			"There are no pools of handlers and network threads that could be idle. rate(process_cpu_seconds_total) and headrace_requests_queued tell how busy the node is."},
		{[]string{"jvm_*"},
			"There is no JVM. go_memstats_heap_inuse_bytes, go_threads and go_gc_duration_seconds are the nearest; process_resident_memory_bytes is what counts."},
		{[]string{"kafka_server_raftmetrics_fetch_records_rate", "kafka_server_raftchannelmetrics_*"},
			"A node alone sends and fetches nothing over a raft channel."},
		{[]string{"container_*", "kubelet_*"},
			"These come from Kubernetes, not from a broker; headrace_log_dir_free_bytes tells the room on the disk."},
	}
}

// covers tells whether a name is among them.
func (a Absent) covers(name string) bool {
	for _, n := range a.Names {
		if beginning, all := strings.CutSuffix(n, "*"); n == name || all && strings.HasPrefix(name, beginning) {
			return true
		}
	}
	return false
}

// LeftOut tells whether a name is one that is not exported on purpose.
func LeftOut(name string) bool {
	for _, a := range NotExported() {
		if a.covers(name) {
			return true
		}
	}
	return false
}
