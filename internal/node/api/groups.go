package api

import "github.com/twmb/franz-go/pkg/kmsg"

// groupTable lists the APIs of consumer groups.
func (s *Server) groupTable() []Entry {
	t := []Entry{
		{Key: kmsg.FindCoordinator, Min: 0, Max: 6, Handle: on(s.findCoordinator), Note: "groups and share groups"},
		{Key: kmsg.JoinGroup, Min: 0, Max: 9, Handle: on(s.joinGroup)},
		{Key: kmsg.SyncGroup, Min: 0, Max: 5, Handle: on(s.syncGroup)},
		{Key: kmsg.Heartbeat, Min: 0, Max: 4, Handle: on(s.heartbeat)},
		{Key: kmsg.LeaveGroup, Min: 0, Max: 5, Handle: on(s.leaveGroup)},
		{Key: kmsg.ConsumerGroupHeartbeat, Min: 0, Max: 1, Handle: on(s.consumerGroupHeartbeat)},
		{Key: kmsg.ConsumerGroupDescribe, Min: 0, Max: 1, Handle: on(s.consumerGroupDescribe)},
		{Key: kmsg.StreamsGroupHeartbeat, Min: 0, Max: 0, Handle: on(s.streamsGroupHeartbeat)},
		{Key: kmsg.StreamsGroupDescribe, Min: 0, Max: 0, Handle: on(s.streamsGroupDescribe)},
		{Key: kmsg.OffsetCommit, Min: 2, Max: 10, Handle: on(s.offsetCommit)},
		{Key: kmsg.OffsetFetch, Min: 1, Max: 10, Handle: on(s.offsetFetch)},
		{Key: kmsg.OffsetDelete, Min: 0, Max: 0, Handle: on(s.offsetDelete)},
		{Key: kmsg.DescribeGroups, Min: 0, Max: 6, Handle: on(s.describeGroups)},
		{Key: kmsg.ListGroups, Min: 0, Max: 5, Handle: on(s.listGroups)},
		{Key: kmsg.DeleteGroups, Min: 0, Max: 2, Handle: on(s.deleteGroups)},
	}
	if s.Verify != nil {
		t = append(t, Entry{Key: kmsg.TxnOffsetCommit, Min: 0, Max: 5, Handle: on(s.txnOffsetCommit)})
	}
	return t
}
