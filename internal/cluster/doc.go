// Package cluster holds tests of several nodes in one process: the real goroutines of whole nodes, over a network and disks in
// memory, in a testing/synctest bubble where hours of timeouts pass at once. Nodes are killed, lose power, go silent and come
// back, and what clients were told is compared with what is read in the end. Nothing is promised about the order in which
// goroutines run; internal/sim is where a failure can be replayed.
package cluster
