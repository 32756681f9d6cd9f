package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share/session"
)

// shareAcknowledge answers ShareAcknowledge (79): a member of a share group says what became of records that it has.
func (s *Server) shareAcknowledge(ctx context.Context, c *Call, req *kmsg.ShareAcknowledgeRequest) Response {
	resp := kmsg.NewPtrShareAcknowledgeResponse()
	fail := func(err error) Response {
		resp.ErrorCode, resp.ErrorMessage = s.codeOf(err, "share acknowledge"), wordsOf(err)
		return resp
	}
	if !s.hasShareGroups() {
		return fail(kerr.UnsupportedVersion)
	}
	member, err := shareMember(req.GroupID, req.MemberID)
	if err == nil {
		err = s.Shares.BeginAcknowledge(member, req.ShareSessionEpoch)
	}
	if err != nil {
		return fail(err)
	}
	var acks []partitionAcks
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			one := partitionAcks{Partition: session.Partition{Topic: kafka.TopicID(t.TopicID), Index: p.Partition}}
			for _, b := range p.AcknowledgementBatches {
				one.acks = append(one.acks, acknowledgement(b.FirstOffset, b.LastOffset, b.AcknowledgeTypes))
			}
			acks = append(acks, one)
		}
	}
	s.acknowledgeAll(ctx, member, acks, c.Version >= shareRenewFrom && req.IsRenewAck)
	if req.ShareSessionEpoch == session.Close {
		s.Shares.EndSession(member)
	}
	resp.AcquisitionLockTimeoutMillis = s.Shares.Lock(member.Group)
	for _, p := range acks {
		s.addAcknowledged(resp, c.Client.Listener, p)
	}
	return resp
}

func (s *Server) addAcknowledged(resp *kmsg.ShareAcknowledgeResponse, listener string, acked partitionAcks) {
	p := kmsg.NewShareAcknowledgeResponseTopicPartition()
	p.Partition = acked.Index
	p.ErrorCode, p.ErrorMessage = s.codeOf(acked.err, "share acknowledge"), wordsOf(acked.err)
	p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = -1, -1
	if h, ok := s.shareHint(acked.Partition, listener, p.ErrorCode); ok {
		p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = int32(h.leader), int32(h.epoch)
		known := slices.ContainsFunc(resp.NodeEndpoints, func(n kmsg.ShareAcknowledgeResponseNodeEndpoint) bool { return n.NodeID == int32(h.leader) })
		if h.host != "" && !known {
			resp.NodeEndpoints = append(resp.NodeEndpoints, kmsg.ShareAcknowledgeResponseNodeEndpoint{NodeID: int32(h.leader), Host: h.host, Port: h.port, Rack: h.rack})
		}
	}
	i := slices.IndexFunc(resp.Topics, func(t kmsg.ShareAcknowledgeResponseTopic) bool { return t.TopicID == acked.Topic })
	if i < 0 {
		i = len(resp.Topics)
		resp.Topics = append(resp.Topics, kmsg.ShareAcknowledgeResponseTopic{TopicID: acked.Topic})
	}
	resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
}
