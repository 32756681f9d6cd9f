// Package hostile sends a live node what no client should: frames that are cut off, changed, too large or not Kafka's at all,
// batches that lie, bombs, floods of connections and clients that never read. A healthy client works beside all of it, and has
// to lose nothing and wait for nothing long. Nobody imports it.
//
// The short form runs with go test ./...; the long one is
//
//	go test ./internal/hostile -timeout 60m -args -long
package hostile
