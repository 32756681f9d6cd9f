// Package metrics gives what a node has counted to Prometheus: it reads snapshots of the counters that the other packages
// keep beside their code, and names them as Table says. It alone imports Prometheus' client. app makes a Handler and
// node/admin serves it; a scrape runs on the goroutine of its request, and no other is started here.
package metrics

import (
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/api"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/quorum"
	"github.com/headrace/headrace/internal/node/transport"
)

// Config says where the counters are. All but Dirs, Log and the bounds must be set.
type Config struct {
	Node       kafka.NodeID
	Image      func() *metadata.Image
	Partitions interface {
		Stats() (partition.SetStats, []*partition.Partition)
		CleaningStats(now time.Time) []partition.CleaningStats
	}
	Transport interface{ Stats() transport.Stats }
	API       interface {
		Failures() map[api.FailureKind]uint64
		throttled
	}
	Replicas throttled
	Quorum   interface {
		Stats() quorum.Stats
		Status() quorum.Status
	}
	Groups surveyor
	// Dirs lists the log dirs.
	Dirs func() []Dir
	Log  *slog.Logger
	// MaxPartitions and MaxOffsets bound the partitions and the committed offsets that have series of their own.
	MaxPartitions, MaxOffsets int
	// MaxTransaction is transaction.max.timeout.ms; 15 minutes where it is zero.
	MaxTransaction time.Duration
}

// throttled is one side of replication whose rate is bounded.
type throttled interface {
	ThrottledPerSecond(now time.Time) float64
}

// Dir is a log dir.
type Dir struct {
	Path        string
	Offline     bool
	Total, Free int64 // -1: not known
}

// maxScrapes is how many may run at the same time; more are told to come back.
const maxScrapes = 3

// Handler answers scrapes, in Prometheus' text or in OpenMetrics.
func Handler(c Config) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		newCollector(c, time.Now()),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes,
		// What can be told is; what cannot is logged.
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: complaints{c.Log},
	})
}

// complaints puts what promhttp says into the log.
type complaints struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (c complaints) Println(v ...any) { c.log.Error("scrape", "err", v) }

// collector is the prometheus.Collector of a node.
type collector struct {
	Config
	families map[string]*family
	groups   lags

	mu      sync.Mutex // guards all below
	total   partition.Traffic
	commits recent
	appends recent
	took    time.Duration
}

func newCollector(c Config, now time.Time) *collector {
	if c.MaxTransaction == 0 {
		c.MaxTransaction = 15 * time.Minute
	}
	col := &collector{Config: c, families: families(Table()), commits: newRecent(now), appends: newRecent(now)}
	col.groups.groups, col.groups.most = c.Groups, c.MaxOffsets
	return col
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range c.families {
		to <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	now := time.Now()
	out := sink{c.families, to}
	set, parts := c.Partitions.Stats()
	here := make([]hosted, len(parts))
	for i, p := range parts {
		here[i] = hosted{p, p.Stats()}
	}
	img := c.Image()
	c.node(out)
	c.transport(out)
	out.put("kafka_server_leaderreplication_byte_rate", c.API.ThrottledPerSecond(now))
	out.put("kafka_server_followerreplication_byte_rate", c.Replicas.ThrottledPerSecond(now))
	c.traffic(out, set, here)
	c.partitions(out, now, img, here)
	c.compaction(out, now)
	c.dirs(out, here)
	c.cluster(out, img)
	c.raft(out, now)
	c.consumerGroups(out, now, here)
	c.mu.Lock()
	c.took = time.Since(now)
	c.mu.Unlock()
}

// version is that of the module that the program was built as.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func (c *collector) node(out sink) {
	out.put("headrace_build_info", 1, runtime.Version(), version())
	out.put("kafka_server_kafkaserver_brokerstate", 3)
	c.mu.Lock()
	out.put("headrace_metrics_collect_seconds", c.took.Seconds())
	c.mu.Unlock()
	if read, written, ok := diskBytes(); ok {
		out.put("kafka_server_kafkaserver_linux_disk_read_bytes", read)
		out.put("kafka_server_kafkaserver_linux_disk_write_bytes", written)
	}
}
