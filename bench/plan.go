package main

import (
	"time"

	"github.com/headrace/headrace/bench/figure"
)

// figures are what one run of a work measured, by name. The names of rows are among them; the others only go to the raw file.
type figures map[string]float64

// row is one line of the table. Its figure is made by the work that holds it.
type row struct {
	name  string
	title string
	unit  string
	aim   figure.Aim
}

// work is one thing that is done to both systems. Works of a session share a server, which was started on an empty folder.
type work struct {
	name string
	how  string // what it does, for the README
	rows []row
	run  func(*stage) (figures, error)
}

// session is a list of works on one server, or on a cluster of so many nodes. Where ownServers is set, the works start servers
// themselves.
type session struct {
	name       string
	works      []work
	nodes      int // 0 is one
	ownServers bool
	keep       bool // the folder stays to the end: ext4 makes files ten times slower for minutes after ten thousands were removed
}

// size is how much the works do.
type size struct {
	Short          bool          `json:"short"`
	ProduceWarmup  int           `json:"produce_warmup_records"`
	Produce        int           `json:"produce_records"`
	Flushed        int           `json:"produce_flushed_records"`
	LatencyWarmup  time.Duration `json:"latency_warmup_ns"`
	Latency        time.Duration `json:"latency_ns"`
	EndToEnd       int           `json:"end_to_end_records"`
	ManyPartitions int           `json:"many_partitions"`
	ManyWarmup     int           `json:"many_warmup_records"`
	Many           time.Duration `json:"many_ns"`
	Crowd          time.Duration `json:"crowd_ns"`
	FullPartitions int32         `json:"full_partitions"`
	FullRecords    int           `json:"full_records"`
	IdlePartitions int           `json:"idle_partitions"`
	ColdRecords    int           `json:"cold_records"`
	Cold           time.Duration `json:"cold_ns"`

	ClusterWarmup     int           `json:"cluster_warmup_records"`
	ClusterProduce    int           `json:"cluster_produce_records"`
	ClusterTopics     int           `json:"cluster_topics"` // of topicPartitions each
	ClusterIdleTopics int           `json:"cluster_idle_topics"`
	ClusterIdle       time.Duration `json:"cluster_idle_ns"`
}

const recordSize = 1024

func fullSize() size {
	return size{
		ProduceWarmup: 500_000, Produce: 4_000_000, Flushed: 600_000,
		LatencyWarmup: 5 * time.Second, Latency: 12 * time.Second, EndToEnd: 10_000,
		ManyPartitions: 1000, ManyWarmup: 2_000_000, Many: 12 * time.Second, Crowd: 12 * time.Second,
		FullPartitions: 2000, FullRecords: 10_000_000, IdlePartitions: 5000,
		ColdRecords: 1_000_000, Cold: 8 * time.Second,
		ClusterWarmup: 500_000, ClusterProduce: 2_000_000, ClusterTopics: 10, ClusterIdleTopics: 3, ClusterIdle: 30 * time.Second,
	}
}

// shortSize shows that everything works; its figures are no basis for a judgement.
func shortSize() size {
	return size{
		Short: true, ProduceWarmup: 200_000, Produce: 600_000, Flushed: 100_000,
		LatencyWarmup: 2 * time.Second, Latency: 4 * time.Second, EndToEnd: 2000,
		ManyPartitions: 1000, ManyWarmup: 500_000, Many: 5 * time.Second, Crowd: 5 * time.Second,
		FullPartitions: 200, FullRecords: 500_000, IdlePartitions: 500,
		ColdRecords: 500_000, Cold: 4 * time.Second,
		ClusterWarmup: 100_000, ClusterProduce: 300_000, ClusterTopics: 1, ClusterIdleTopics: 1, ClusterIdle: 10 * time.Second,
	}
}

// plan is all that is measured, in the order of the runs.
func plan() []session {
	return []session{
		{name: "load", works: []work{
			{
				name: "idle", run: idle,
				how: "resident memory 5 s after the start on an empty folder",
				rows: []row{
					{"idle-memory", "resident memory, idle", "MB", figure.AtMost(40)},
				},
			},
			{
				name: "throughput", run: throughput,
				how: "ProducerPerformance, 1 KiB records, 6 partitions, acks=all, after a run of it that warms up; then ConsumerPerformance reads them. " +
					"Processor time is the broker's alone, from before to after the program; GB are 10⁹ bytes of record values; memory is the most that was resident while producing",
				rows: []row{
					{"produce", "produce 1 KiB × 6 partitions, acks=all, Kafka without flush", "records/s", figure.RatioAtLeast(1)},
					{"produce-cpu", "broker's processor time a GB produced", "s/GB", figure.AtMost(0.9)},
					{"produce-memory", "resident memory under the produce load", "MB", figure.AtMost(256)},
					{"consume-cpu", "broker's processor time a GB consumed", "s/GB", figure.AtMost(0.4)},
					{"consume", "consume", "MB/s", figure.RatioAtLeast(1)},
				},
			},
			{
				name: "flushed", run: flushed,
				how: "as throughput's producing, on a topic with flush.messages=1, which makes Apache Kafka flush before it acknowledges, as headrace does anyway",
				rows: []row{
					{"produce-flushed", "the same, Kafka with flush.messages=1", "records/s", figure.RatioAtLeast(3)},
				},
			},
		}},
		{name: "latency", works: []work{
			{
				name: "latency", run: latency,
				how: "20,000 records a second of 1 KiB, linger 0, acks=all, 6 partitions: ProducerPerformance (latency from the send), then headrace bench produce (latency from the moment at which the rate wanted the record sent)",
				rows: []row{
					{"latency-p99", "produce at 20,000/s, linger 0: p99", "ms", figure.AtMost(10)},
					{"latency-p999", "produce at 20,000/s, linger 0: p99.9", "ms", figure.AtMost(25)},
					{"latency-own-p99", "the same without coordinated omission: p99", "ms", figure.AtMost(10)},
					{"latency-own-p999", "the same without coordinated omission: p99.9", "ms", figure.AtMost(25)},
				},
			},
			{
				name: "end-to-end", run: endToEnd,
				how: "EndToEndLatency, 100-byte records one at a time, after a run of it that warms up the broker; it counts its own warm-up",
				rows: []row{
					{"e2e-mean", "end to end, one at a time: mean", "ms", figure.AtMost(1)},
					{"e2e-p99", "end to end, one at a time: p99", "ms", figure.AtMost(5)},
				},
			},
		}},
		{name: "many", works: []work{{
			name: "many", run: many,
			how: "headrace bench produce with 50 producers (a client and connection each), 100-byte records with keys that spread them over all partitions of one topic, acks=all, linger 5 ms, as fast as can be, after a run of it that warms up",
			rows: []row{
				{"many", "1,000 partitions, 100-byte records, 50 producers", "records/s", figure.RatioAtLeast(1)},
			},
		}}},
		{name: "connections", works: []work{{
			name: "connections", run: connections,
			how: "1,000 connections that say nothing, 200 producers that send 10 records of 200 bytes a second each (linger 0, acks=all) to 50 topics, and 50 groups of one member, each reading one topic; the broker's processor time over the same span, once the load is carried",
			rows: []row{
				{"connections-cpu", "1,000 idle and 200 busy connections, 50 groups tailing: processor time", "s", figure.RatioAtMost(0.5)},
			},
		}}},
		{name: "idle-partitions", works: []work{{
			name: "idle-partitions", run: idlePartitions,
			how: "growth of resident memory by partitions of one topic, 5 s after they were made, and again 5 s after each got one record",
			rows: []row{
				{"idle-partition", "memory an idle partition, new", "KB", figure.AtMost(30)},
				{"idle-partition-written", "memory an idle partition that holds a record", "KB", figure.AtMost(30)},
			},
		}}},
		{name: "cold", works: []work{{
			name: "cold", run: cold,
			how: "headrace bench produce at 20,000 records of 1 KiB a second, three times: alone, while headrace bench consume reads old records at 100,000 a second from the page cache, and the same after these were taken out of the cache (the broker's disk reads prove it)",
			rows: []row{
				{"cold-alone-p99", "produce at 20,000/s, nobody reads: p99", "ms", figure.Aim{}},
				{"cold-warm-p99", "the same beside a reader of cached records: p99", "ms", figure.Aim{}},
				{"cold-p99", "the same beside a reader of cold records: p99", "ms", figure.AtMost(10)},
				{"cold-rise", "rise of that p99 by the records being cold", "×", figure.AtMost(1.25)},
			},
		}}},
		{name: "start", ownServers: true, works: []work{
			{
				name: "start-empty", run: startEmpty,
				how: "from the start of the process on an empty (for Apache Kafka: formatted) folder to the answer to Metadata, a topic created in it, and a record produced and fetched",
				rows: []row{
					{"start-empty", "start to ready, empty", "s", figure.AtMost(0.1)},
				},
			},
			{
				name: "start-full", run: startFull,
				how: "2,000 partitions filled with 10 GB, then kill -9, start, clean stop, start; from the start of the process to the answer to Metadata and a record produced to and fetched from a partition, and to all partitions telling their ends. The page cache stays as it is",
				rows: []row{
					{"start-killed", "start to ready after kill -9, 2,000 partitions, 10 GB", "s", figure.AtMost(1)},
					{"start-killed-all", "the same until all partitions answer", "s", figure.Aim{}},
					{"start-clean", "start to ready after a clean stop of the same", "s", figure.AtMost(1)},
					{"start-clean-all", "the same until all partitions answer", "s", figure.Aim{}},
					{"stop-clean", "the clean stop itself", "s", figure.Aim{}},
				},
			},
		}},
		{name: "cluster", nodes: clusterNodes, works: []work{{
			name: "cluster-throughput", run: clusterThroughput,
			how: "as throughput, on three nodes that are broker and controller each, three replicas and min.insync.replicas=2; processor time and memory are those of the three nodes, summed",
			rows: []row{
				{"cluster-produce", "three nodes: produce 1 KiB × 6 partitions × 3 replicas, acks=all, Kafka without flush", "records/s", figure.RatioAtLeast(1)},
				{"cluster-produce-cpu", "three nodes: processor time a GB produced", "s/GB", figure.RatioAtMost(0.5)},
				{"cluster-produce-memory", "three nodes: resident memory under the produce load", "MB", figure.RatioAtMost(0.3)},
				{"cluster-consume-cpu", "three nodes: processor time a GB consumed", "s/GB", figure.RatioAtMost(0.5)},
				{"cluster-consume", "three nodes: consume", "MB/s", figure.Aim{}},
			},
		}}},
		{name: "cluster-idle", nodes: clusterNodes, keep: true, works: []work{{
			name: "cluster-idle", run: clusterIdle,
			how: "three nodes with 3 topics of 1,000 partitions, three replicas and a record each, to which nobody talks; processor time of the three nodes over 30 s, from 10 s after the last record",
			rows: []row{
				{"cluster-idle-cpu", "three nodes, 3,000 idle partitions × 3 replicas: processor time a second", "ms", figure.Aim{}},
			},
		}}},
		{name: "cluster-partitions", nodes: clusterNodes, keep: true, works: []work{{
			name: "cluster-partitions", run: clusterPartitions,
			how: "three nodes: 10 topics of 1,000 partitions and three replicas, one request after the other, from the first request until every partition's leader tells its end; then the growth of resident memory of all nodes by their replicas, 5 s after that, and again 5 s after each partition got one record",
			rows: []row{
				{"cluster-create", "three nodes: create 10,000 partitions × 3 replicas", "s", figure.AtMost(10)},
				{"cluster-replica", "memory an idle replica, new", "KB", figure.AtMost(30)},
				{"cluster-replica-written", "memory an idle replica that holds a record", "KB", figure.AtMost(30)},
			},
		}}},
		{name: "cluster-restart", ownServers: true, keep: true, works: []work{{
			name: "cluster-restart", run: clusterRestart,
			how: "the same partitions with a record each; a node that does not lead the metadata is killed (kill -9) and, when the others have noticed and each partition has got one more record without it, started: from the start of its process until another node says that all of its replicas are in sync",
			rows: []row{
				{"cluster-restart", "three nodes: one killed and started, until its 10,000 replicas are in sync", "s", figure.AtMost(3)},
			},
		}}},
	}
}
