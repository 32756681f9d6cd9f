// Package replication makes this node's followers follow: it fetches from their leaders, and asks the controller for the in-sync
// replicas that the leaders here see fit. app starts it, and tells it of each change of the metadata after node/partition has
// taken it. A Replicas owns its goroutines: two for each fetcher, of which there are num.replica.fetchers for each node
// followed, and one reporter and one assigner; Close ends and waits for them.
package replication
