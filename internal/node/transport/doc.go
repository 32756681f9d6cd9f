// Package transport carries the Kafka protocol over connections: it accepts them, reads frames within a memory budget,
// hands decoded requests to a Handler and writes the answers in order. node/app starts a Server a process; each
// connection owns one pair of goroutines (a reader and a writer) and each listener one, all stopped and waited for by
// Server.Close.
package transport
