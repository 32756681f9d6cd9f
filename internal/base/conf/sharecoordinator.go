package conf

import "time"

// ShareCoordinatorConfig is what share coordinators keep to.
type ShareCoordinatorConfig struct {
	Partitions           int32
	Replication, MinISR  int16 // at most; a smaller cluster makes as many replicas as it has nodes
	SegmentBytes         int
	UpdatesPerSnapshot   int
	WriteTimeout         time.Duration
	PruneInterval        time.Duration
	ColdSnapshotInterval time.Duration
}

var brokerShareCoordinator = []Def{
	{Name: "share.coordinator.state.topic.num.partitions", Kind: Int, Default: "50", valid: atLeast(1),
		Doc: "Partitions of __share_group_state, fixed when it is created."},
	{Name: "share.coordinator.state.topic.replication.factor", Kind: Short, Default: "3", valid: atLeast(1),
		Doc: "Replicas of __share_group_state; a cluster with fewer nodes makes as many as it has nodes, and more as nodes join."},
	{Name: "share.coordinator.state.topic.min.isr", Kind: Short, Default: "2", valid: atLeast(1),
		Doc: "min.insync.replicas of __share_group_state when it is created; no more than it has replicas then."},
	{Name: "share.coordinator.state.topic.segment.bytes", Kind: Int, Default: "104857600", valid: atLeast(1),
		Doc: "Segment size of __share_group_state."},
	{Name: "share.coordinator.snapshot.update.records.per.snapshot", Kind: Int, Default: "500", valid: between(0, 500),
		Doc: "Changes of a partition's state of a share group that are written before all of it is written again."},
	{Name: "share.coordinator.write.timeout.ms", Kind: Int, Default: "5000", valid: atLeast(1),
		Doc: "Time for the records of a share coordinator to be on all replicas in sync."},
	{Name: "share.coordinator.state.topic.prune.interval.ms", Kind: Int, Default: "300000", valid: atLeast(1), Internal: true,
		Doc: "Time between two looks for records of __share_group_state that can go."},
	{Name: "share.coordinator.cold.partition.snapshot.interval.ms", Kind: Int, Default: "300000", valid: atLeast(1), Internal: true,
		Doc: "Age at which the state of a share group's partition is written again that holds up the removal of older records."},
}

func shareCoordinatorConfig(r reader) ShareCoordinatorConfig {
	return ShareCoordinatorConfig{
		Partitions:  int32(r.num("share.coordinator.state.topic.num.partitions")),
		Replication: int16(r.num("share.coordinator.state.topic.replication.factor")), MinISR: int16(r.num("share.coordinator.state.topic.min.isr")),
		SegmentBytes:         int(r.num("share.coordinator.state.topic.segment.bytes")),
		UpdatesPerSnapshot:   int(r.num("share.coordinator.snapshot.update.records.per.snapshot")),
		WriteTimeout:         r.ms("share.coordinator.write.timeout.ms"),
		PruneInterval:        r.ms("share.coordinator.state.topic.prune.interval.ms"),
		ColdSnapshotInterval: r.ms("share.coordinator.cold.partition.snapshot.interval.ms"),
	}
}
