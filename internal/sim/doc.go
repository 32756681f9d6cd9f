// Package sim plays a whole cluster in one goroutine: the raft of the metadata quorum, the controller's machine, the rules of
// replication, producers and readers, on disks that lose what was not flushed and a network that loses, delays, doubles and
// reorders. Time and chance come from a seed: the same seed plays the same run, so that a broken invariant is replayed by its
// number. Tests and cmd/sim call Run; the package starts no goroutine.
//
// What is real: etcd's raft, core/controller, core/metadata and core/replica. What is played: disks, clocks, links, clients, and
// the shells that node/quorum, node/partition and node/replication are round those machines. A mistake in a shell is found by
// the tests with real processes, one in the rules here.
package sim
