package metrics

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *collector) transport(out sink) {
	s := c.Transport.Stats()
	for listener, n := range s.Connections {
		out.put("headrace_connections", float64(n), listener)
		out.put("kafka_server_socket_server_metrics_connection_count", float64(n), listener)
	}
	out.put("headrace_connections_accepted_total", float64(s.Accepted))
	for reason, n := range s.Reasons() {
		out.put("headrace_connections_closed_total", float64(n), reason.String())
	}
	out.put("headrace_received_bytes_total", float64(s.Received))
	out.put("headrace_sent_bytes_total", float64(s.Sent))
	for key, h := range s.Requests {
		out.times("headrace_request_seconds", h, apiName(key))
		out.put("kafka_network_requestmetrics_requests_total", float64(h.Count()), apiName(key))
	}
	out.put("headrace_requests_queued", float64(s.Queued))
	out.put("kafka_network_requestchannel_requestqueuesize", float64(s.Queued))
	out.put("headrace_request_memory_bytes", float64(s.Memory))
	out.put("headrace_request_memory_limit_bytes", float64(s.MemoryLimit))
	out.put("headrace_request_memory_waits_total", float64(s.Waits))
	for kind, n := range c.API.Failures() {
		out.put("headrace_request_errors_total", float64(n), apiName(kind.Key), errorName(kind.Code))
		out.put("kafka_network_requestmetrics_errors_total", float64(n), errorName(kind.Code), apiName(kind.Key))
	}
}

func apiName(key int16) string { return kmsg.NameForKey(key) }

// errorName is what Apache Kafka calls an error.
func errorName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return strconv.Itoa(int(code))
}
