// Package metadata is the cluster's metadata as every node holds it: an immutable Image made by applying records, and
// the Delta between two Images. The records are those of Apache Kafka's KRaft metadata log in Kafka's own bytes, so
// that Kafka's dump tools read our log and snapshots.
//
// core/controller reads Images and decides records, node/quorum makes records durable and applies them, and everyone
// else reads the Image that the quorum published. The package is pure: it starts no goroutine, and an Image may be read
// by any number of them.
package metadata
