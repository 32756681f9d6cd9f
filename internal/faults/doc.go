// Package faults breaks real headrace processes under load and checks what clients were promised: kill -9 again and again,
// power cuts that lose all unsynced bytes, and disks that get full. Its tests start the test binary again as the node; nobody imports it.
//
// The short form runs with go test ./...; the long one is
//
//	go test ./internal/faults -run 'Kill|PowerCut|FullDisk' -timeout 60m -args -cycles 200
package faults
