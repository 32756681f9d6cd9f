// Package partition holds the partitions that this node hosts: their logs, the rules of replication, who waits on them, and
// the work that keeps them: flushing, checkpoints, retention. node/api and the coordinators call it; the quorum tells it
// what to host. A Set owns its goroutines: a flusher a log dir, an opener, a janitor, cleaners and a retention ticker; Close ends and
// waits for them.
package partition
