package metrics

// kafkaDefs are the names that dashboards made for Apache Kafka query. What cannot be told truthfully is not here; the head of
// docs/metrics.md says what and why.
func kafkaDefs() []Def {
	var all []Def
	for _, part := range [][]Def{brokerDefs(), controllerDefs(), partitionDefs(), raftDefs(), exporterDefs()} {
		all = append(all, part...)
	}
	return all
}

func brokerDefs() []Def {
	const each = " Without a topic: of all, those deleted since the start included."
	topic := []string{"topic"}
	return []Def{
		{Name: "kafka_server_brokertopicmetrics_messagesin_total", Kind: Counter, Labels: topic, From: fromJMX, Help: "Records appended." + each},
		{Name: "kafka_server_brokertopicmetrics_bytesin_total", Kind: Counter, Labels: topic, Unit: "bytes", From: fromJMX, Help: "Bytes of the batches appended." + each},
		{Name: "kafka_server_brokertopicmetrics_bytesout_total", Kind: Counter, Labels: topic, Unit: "bytes", From: fromJMX, Help: "Bytes of batches in answers to consumers." + each},
		{Name: "kafka_server_brokertopicmetrics_totalproducerequests_total", Kind: Counter, Labels: topic, From: fromJMX, Help: "Batches that were to be appended, as in Kafka one for each partition of a request." + each},
		{Name: "kafka_server_brokertopicmetrics_totalfetchrequests_total", Kind: Counter, Labels: topic, From: fromJMX, Help: "Partitions fetched from, one for each partition of a request." + each},
		{Name: "kafka_server_brokertopicmetrics_failedproducerequests_total", Kind: Counter, Labels: topic, From: fromJMX, Help: "Of these, batches that were refused, for whatever reason." + each},
		{Name: "kafka_server_brokertopicmetrics_failedfetchrequests_total", Kind: Counter, Labels: topic, From: fromJMX, Help: "Of these, fetches that were refused, for whatever reason." + each},
		{Name: "kafka_server_replicamanager_leadercount", Kind: Gauge, From: fromJMX, Help: "Partitions that this node leads."},
		{Name: "kafka_server_replicamanager_partitioncount", Kind: Gauge, From: fromJMX, Help: "Partitions that this node hosts."},
		{Name: "kafka_server_replicamanager_underreplicatedpartitions", Kind: Gauge, From: fromJMX, Help: "Partitions led here with fewer replicas in sync than there are."},
		{Name: "kafka_server_replicamanager_underminisrpartitioncount", Kind: Gauge, From: fromJMX, Help: "Partitions led here with fewer replicas in sync than min.insync.replicas."},
		{Name: "kafka_server_replicamanager_atminisrpartitioncount", Kind: Gauge, From: fromJMX, Help: "Partitions led here with just as many replicas in sync as min.insync.replicas."},
		{Name: "kafka_server_replicamanager_partitionswithlatetransactionscount", Kind: Gauge, From: fromJMX, Help: "Partitions led here with a transaction that is open for longer than transaction.max.timeout.ms and five minutes: it hangs, and keeps consumers of committed records from going on."},
		{Name: "kafka_server_replicamanager_produceridcount", Kind: Gauge, From: fromJMX, Help: "Idempotent and transactional producers known to the partitions that this node hosts."},
		{Name: "kafka_server_replicamanager_offlinereplicacount", Kind: Gauge, From: fromJMX, Help: "Partitions in log dirs that are offline."},
		{Name: "kafka_server_leaderreplication_byte_rate", Kind: Gauge, Unit: "bytes", From: fromJMX, Help: "Bytes a second sent to replicas that leader.replication.throttled.replicas names while they catch up, over the window of replication.quota.window.*."},
		{Name: "kafka_server_followerreplication_byte_rate", Kind: Gauge, Unit: "bytes", From: fromJMX, Help: "Bytes a second fetched for replicas here that follower.replication.throttled.replicas names while they catch up, over the same window."},
		{Name: "kafka_server_kafkaserver_brokerstate", Kind: Gauge, From: fromJMX, Help: "3: running. Before and after that nothing is exported."},
		{Name: "kafka_server_kafkaserver_linux_disk_read_bytes", Kind: Gauge, Unit: "bytes", From: fromJMX, Help: "Bytes that this process had the disks read; on Linux."},
		{Name: "kafka_server_kafkaserver_linux_disk_write_bytes", Kind: Gauge, Unit: "bytes", From: fromJMX, Help: "Bytes that this process had the disks write; on Linux."},
		{Name: "kafka_server_socket_server_metrics_connection_count", Kind: Gauge, Labels: []string{"listener"}, From: fromJMX, Help: "Connections that are open. There are no network processors to tell apart."},
		{Name: "kafka_network_requestmetrics_requests_total", Kind: Counter, Labels: []string{"request"}, From: fromJMX, Help: "Requests answered."},
		{Name: "kafka_network_requestmetrics_errors_total", Kind: Counter, Labels: []string{"error", "request"}, From: fromJMX, Help: "Errors in answers; NONE is not counted."},
		{Name: "kafka_network_requestchannel_requestqueuesize", Kind: Gauge, From: fromJMX, Help: "Requests that were read and whose turn has not come."},
		{Name: "kafka_log_logmanager_offlinelogdirectorycount", Kind: Gauge, From: fromJMX, Help: "Log dirs that are offline."},
		{Name: "kafka_coordinator_group_groupmetadatamanager_numgroups", Kind: Gauge, From: fromJMX, Help: "Consumer groups coordinated here."},
		{Name: "kafka_coordinator_group_groupmetadatamanager_numgroupsempty", Kind: Gauge, From: fromJMX, Help: "Of these, without members."},
		{Name: "kafka_coordinator_group_groupmetadatamanager_numgroupsstable", Kind: Gauge, From: fromJMX, Help: "Of these, at work."},
		{Name: "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance", Kind: Gauge, From: fromJMX, Help: "Of these, whose members are asked to join."},
		{Name: "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance", Kind: Gauge, From: fromJMX, Help: "Of these, whose leader is to send the assignment."},
	}
}

func controllerDefs() []Def {
	return []Def{
		{Name: "kafka_controller_kafkacontroller_activecontrollercount", Kind: Gauge, From: fromJMX, Help: "1 where this node leads the metadata quorum."},
		{Name: "kafka_controller_kafkacontroller_offlinepartitionscount", Kind: Gauge, From: fromJMX, Help: "Partitions of the cluster without a leader."},
		{Name: "kafka_controller_kafkacontroller_preferredreplicaimbalancecount", Kind: Gauge, From: fromJMX, Help: "Partitions of the cluster that another than their first replica leads."},
		{Name: "kafka_controller_kafkacontroller_globaltopiccount", Kind: Gauge, From: fromJMX, Help: "Topics of the cluster."},
		{Name: "kafka_controller_kafkacontroller_globalpartitioncount", Kind: Gauge, From: fromJMX, Help: "Partitions of the cluster."},
		{Name: "kafka_controller_kafkacontroller_activebrokercount", Kind: Gauge, From: fromJMX, Help: "Nodes that may lead partitions."},
		{Name: "kafka_controller_kafkacontroller_fencedbrokercount", Kind: Gauge, From: fromJMX, Help: "Nodes that may not."},
		{Name: "kafka_controller_controllerstats_uncleanleaderelections_total", Kind: Counter, From: fromJMX, Help: "Leaders elected that were not in sync. Always 0: this version elects none."},
	}
}

func partitionDefs() []Def {
	of := []string{"partition", "topic"}
	return []Def{
		{Name: "kafka_log_log_size", Kind: Gauge, Labels: of, Unit: "bytes", From: fromJMX, Help: "Bytes of a partition's log."},
		{Name: "kafka_log_log_numlogsegments", Kind: Gauge, Labels: of, From: fromJMX, Help: "Segments of a partition's log."},
		{Name: "kafka_log_log_logstartoffset", Kind: Gauge, Labels: of, From: fromJMX, Help: "First offset of a partition's log."},
		{Name: "kafka_log_log_logendoffset", Kind: Gauge, Labels: of, From: fromJMX, Help: "Offset that the next record gets."},
		{Name: "kafka_cluster_partition_replicascount", Kind: Gauge, Labels: of, From: fromJMX, Help: "Replicas of a partition led here."},
		{Name: "kafka_cluster_partition_insyncreplicascount", Kind: Gauge, Labels: of, From: fromJMX, Help: "Of these, in sync."},
		{Name: "kafka_cluster_partition_underreplicated", Kind: Gauge, Labels: of, From: fromJMX, Help: "1 where fewer replicas are in sync than there are."},
		{Name: "kafka_cluster_partition_underminisr", Kind: Gauge, Labels: of, From: fromJMX, Help: "1 where fewer are in sync than min.insync.replicas."},
		{Name: "kafka_cluster_partition_atminisr", Kind: Gauge, Labels: of, From: fromJMX, Help: "1 where just as many are."},
	}
}

func raftDefs() []Def {
	const window = " Over the last minute or less."
	return []Def{
		{Name: "kafka_server_raftmetrics_current_leader", Kind: Gauge, From: fromJMX, Help: "Node that leads the metadata quorum; -1 when none is known."},
		{Name: "kafka_server_raftmetrics_current_vote", Kind: Gauge, From: fromJMX, Help: "Node that this one voted for; -1 for none."},
		{Name: "kafka_server_raftmetrics_current_epoch", Kind: Gauge, From: fromJMX, Help: "Term of the metadata quorum."},
		{Name: "kafka_server_raftmetrics_current_state", Kind: Gauge, Labels: []string{"current_state"}, From: fromJMX, Help: "Always 1; the label tells the role of this node: leader or follower."},
		{Name: "kafka_server_raftmetrics_high_watermark", Kind: Gauge, From: fromJMX, Help: "Offset after the last record of the metadata log that is committed and in force here."},
		{Name: "kafka_server_raftmetrics_log_end_offset", Kind: Gauge, From: fromJMX, Help: "Offset after the last record of the metadata log."},
		{Name: "kafka_server_raftmetrics_commit_latency_avg", Kind: Gauge, Unit: "milliseconds", From: fromJMX, Help: "Average time from a proposal until it is in force; absent where there was none." + window},
		{Name: "kafka_server_raftmetrics_append_records_rate", Kind: Gauge, From: fromJMX, Help: "Records a second that this node proposed as the leader." + window},
	}
}

func exporterDefs() []Def {
	of, group := []string{"partition", "topic"}, []string{"consumergroup", "partition", "topic"}
	sum := []string{"consumergroup", "topic"}
	return []Def{
		{Name: "kafka_brokers", Kind: Gauge, From: fromExporter, Help: "Nodes of the cluster."},
		{Name: "kafka_broker_info", Kind: Gauge, Labels: []string{"address", "id"}, From: fromExporter, Help: "Always 1; the labels tell the address of a node's first listener and its id."},
		{Name: "kafka_topic_partitions", Kind: Gauge, Labels: []string{"topic"}, From: fromExporter, Help: "Partitions of a topic."},
		{Name: "kafka_topic_partition_current_offset", Kind: Gauge, Labels: of, From: fromExporter, Help: "High watermark of a partition led here: what consumers can read is below."},
		{Name: "kafka_topic_partition_oldest_offset", Kind: Gauge, Labels: of, From: fromExporter, Help: "First offset of a partition led here."},
		{Name: "kafka_topic_partition_replicas", Kind: Gauge, Labels: of, From: fromExporter, Help: "Replicas of a partition led here."},
		{Name: "kafka_topic_partition_in_sync_replica", Kind: Gauge, Labels: of, From: fromExporter, Help: "Of these, in sync."},
		{Name: "kafka_topic_partition_leader", Kind: Gauge, Labels: of, From: fromExporter, Help: "Node that leads it: this one."},
		{Name: "kafka_topic_partition_leader_is_preferred", Kind: Gauge, Labels: of, From: fromExporter, Help: "1 where its first replica leads it."},
		{Name: "kafka_topic_partition_under_replicated_partition", Kind: Gauge, Labels: of, From: fromExporter, Help: "1 where fewer replicas are in sync than there are."},
		{Name: "kafka_consumergroup_current_offset", Kind: Gauge, Labels: group, From: fromExporter, Help: "Offset that a group has committed."},
		{Name: "kafka_consumergroup_lag", Kind: Gauge, Labels: group, From: fromExporter, Help: "Records below the high watermark that it has not consumed."},
		{Name: "kafka_consumergroup_current_offset_sum", Kind: Gauge, Labels: sum, From: fromExporter, Help: "Sum of its offsets in a topic."},
		{Name: "kafka_consumergroup_lag_sum", Kind: Gauge, Labels: sum, From: fromExporter, Help: "Sum of its lag in a topic."},
		{Name: "kafka_consumergroup_members", Kind: Gauge, Labels: []string{"consumergroup"}, From: fromExporter, Help: "Members of a group."},
	}
}
