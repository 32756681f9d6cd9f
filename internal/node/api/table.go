package api

import (
	"context"
	"slices"

	"github.com/headrace/headrace/internal/node/transport"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Call and Response are transport's: what a handler is given, and what it returns. A handler returns a
// kmsg.Response (its version is set for it), nil for "no answer", or transport.Hangup to close the connection.
type (
	Call     = transport.Call
	Response = transport.Response
)

// Handler answers one request. It may block until ctx ends; whatever else on the connection is behind it waits.
type Handler func(ctx context.Context, c *Call) Response

// Entry is one API that is served: what ApiVersions advertises, and docs/compatibility.md prints.
type Entry struct {
	Key      kmsg.Key
	Min, Max int16
	// AdvertiseMin is what ApiVersions answers as the minimum when it is below Min: Produce alone.
	AdvertiseMin int16
	// Handle answers; or Begin and what it returns do (Produce alone, see transport.Op).
	Handle Handler
	Begin  func(ctx context.Context, c *Call) transport.Pending
	// Note says what of the API is not there, or differs, in a few words for docs/compatibility.md.
	Note string
}

// on makes a Handler of a method that takes its own request type.
func on[R kmsg.Request](f func(ctx context.Context, c *Call, req R) Response) Handler {
	return func(ctx context.Context, c *Call) Response { return f(ctx, c, c.Request.(R)) }
}

// table lists every API served, each once: the data plane here, the others beside their handlers.
func (s *Server) table() []Entry {
	t := s.dataTable()
	t = append(t, s.adminTable()...)
	t = append(t, s.quorumTable()...)
	t = append(t, s.groupTable()...)
	t = append(t, s.txnTable()...)
	t = append(t, s.shareTable()...)
	if s.ControllerAlone {
		t = slices.DeleteFunc(t, func(e Entry) bool { return !slices.Contains(controllerKeys, e.Key) })
	}
	return t
}

// controllerKeys are what Kafka's controllers answer, of that which is in the table. Clients see by ApiVersions that there is no
// more, and are hung up on if they ask all the same.
var controllerKeys = []kmsg.Key{
	kmsg.ApiVersions, kmsg.CreateTopics, kmsg.DeleteTopics, kmsg.CreatePartitions, kmsg.DescribeConfigs, kmsg.AlterConfigs,
	kmsg.IncrementalAlterConfigs, kmsg.ElectLeaders, kmsg.AlterPartitionAssignments, kmsg.ListPartitionReassignments,
	kmsg.UpdateFeatures, kmsg.UnregisterBroker, kmsg.DescribeCluster, kmsg.DescribeQuorum, kmsg.AddRaftVoter, kmsg.RemoveRaftVoter,
}

// dataTable lists the APIs of the data path.
func (s *Server) dataTable() []Entry {
	return []Entry{
		{Key: kmsg.Produce, Min: 3, Max: 13, AdvertiseMin: 0, Begin: s.beginProduce,
			Note: "no transactions; advertised from 0 for librdkafka's sake"},
		{Key: kmsg.Fetch, Min: 4, Max: 18, Handle: on(s.fetch), Note: "followers from version 15 on"},
		{Key: kmsg.ListOffsets, Min: 1, Max: 11, Handle: on(s.listOffsets)},
		{Key: kmsg.Metadata, Min: 0, Max: 13, Handle: on(s.metadata), Note: "auto-creation answers with the topic at once"},
		{Key: kmsg.DeleteRecords, Min: 0, Max: 2, Handle: on(s.deleteRecords)},
		{Key: kmsg.InitProducerID, Min: 0, Max: 5, Handle: on(s.initProducerID), Note: "idempotent producers only"},
		{Key: kmsg.WriteTxnMarkers, Min: 1, Max: 2, Handle: on(s.writeTxnMarkers)},
		{Key: kmsg.OffsetForLeaderEpoch, Min: 2, Max: 4, Handle: on(s.offsetForLeaderEpoch)},
		{Key: kmsg.DescribeProducers, Min: 0, Max: 0, Handle: on(s.describeProducers)},
		{Key: kmsg.ApiVersions, Min: 0, Max: 4, Handle: on(s.apiVersions)},
	}
}
