// Package api answers the Kafka protocol: one file an API, one table that says which keys and versions exist. Its Server is
// what transport hands decoded requests to; it runs on the connections' goroutines and starts none of its own.
package api
