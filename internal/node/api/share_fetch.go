package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share/session"
	"github.com/headrace/headrace/internal/node/shares"
)

// recordLimitMode is the acquire mode that never exceeds MaxRecords (KIP-1206).
const recordLimitMode = 1

// shareFetch answers ShareFetch (78): a member of a share group says what became of records that it has, and gets more.
func (s *Server) shareFetch(ctx context.Context, c *Call, req *kmsg.ShareFetchRequest) Response {
	if !s.hasShareGroups() {
		return s.shareFetchError(kerr.UnsupportedVersion)
	}
	member, err := shareMember(req.GroupID, req.MemberID)
	if err == nil && c.Version >= shareRenewFrom && req.IsRenewAck {
		err = checkRenew(req)
	}
	if err != nil {
		return s.shareFetchError(err)
	}
	adds, forgets, acks := fetchParts(req)
	wants, err := s.Shares.BeginFetch(ctx, member, req.ShareSessionEpoch, adds, forgets, len(acks) > 0)
	if errors.Is(err, kerr.ShareSessionLimitReached) {
		// Who is told at once comes back at once.
		idle(ctx, time.Duration(max(req.MaxWaitMillis, 0))*time.Millisecond)
	}
	if err != nil {
		return s.shareFetchError(err)
	}
	s.acknowledgeAll(ctx, member, acks, c.Version >= shareRenewFrom && req.IsRenewAck)
	var got []shares.Got
	if req.ShareSessionEpoch == session.Close {
		s.Shares.EndSession(member)
	} else {
		got = s.Shares.Fetch(ctx, shares.Fetch{
			Session: member, Partitions: wants,
			MaxBytes:   min(int(max(req.MaxBytes, 0)), s.Settings().FetchMaxBytes),
			MaxRecords: int(req.MaxRecords), BatchSize: int(req.BatchSize), RecordLimit: c.Version >= shareRenewFrom && req.ShareAcquireMode == recordLimitMode,
			Deadline: c.Received.Add(time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond),
		})
	}
	return s.shareFetched(c, member, req.ShareSessionEpoch, acks, got)
}

func idle(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// checkRenew refuses a request that renews locks and fetches, too.
func checkRenew(req *kmsg.ShareFetchRequest) error {
	var wrong []string
	for _, f := range []struct {
		name  string
		value int32
	}{{"maxBytes", req.MaxBytes}, {"minBytes", req.MinBytes}, {"maxRecords", req.MaxRecords}, {"maxWaitMs", req.MaxWaitMillis}} {
		if f.value != 0 {
			wrong = append(wrong, f.name+" must be set to 0, ")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%sif isRenewAck is true.: %w", strings.Join(wrong, ""), kerr.InvalidRequest)
}

// fetchParts takes a request apart: partitions to fetch from now on, and no longer, and what is said of records.
func fetchParts(req *kmsg.ShareFetchRequest) (adds, forgets []session.Partition, acks []partitionAcks) {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			at := session.Partition{Topic: kafka.TopicID(t.TopicID), Index: p.Partition}
			adds = append(adds, at)
			if len(p.AcknowledgementBatches) == 0 {
				continue
			}
			one := partitionAcks{Partition: at}
			for _, b := range p.AcknowledgementBatches {
				one.acks = append(one.acks, acknowledgement(b.FirstOffset, b.LastOffset, b.AcknowledgeTypes))
			}
			acks = append(acks, one)
		}
	}
	for _, t := range req.ForgottenTopicsData {
		for _, p := range t.Partitions {
			forgets = append(forgets, session.Partition{Topic: kafka.TopicID(t.TopicID), Index: p})
		}
	}
	return adds, forgets, acks
}

func (s *Server) shareFetchError(err error) *kmsg.ShareFetchResponse {
	resp := kmsg.NewPtrShareFetchResponse()
	resp.ErrorCode, resp.ErrorMessage = s.codeOf(err, "share fetch"), wordsOf(err)
	return resp
}

// shareFetched makes the answer: of partitions with something to tell, and of those whose records were acknowledged.
func (s *Server) shareFetched(c *Call, member session.Key, epoch int32, acks []partitionAcks, got []shares.Got) Response {
	resp := kmsg.NewPtrShareFetchResponse()
	resp.AcquisitionLockTimeoutMillis = s.Shares.Lock(member.Group)
	a := &shareAnswer{s: s, listener: c.Client.Listener, resp: resp}
	acknowledged := make(map[session.Partition]error, len(acks))
	for _, p := range acks {
		acknowledged[p.Partition] = p.err
	}
	for _, g := range got {
		ackErr, acked := acknowledged[g.Partition]
		delete(acknowledged, g.Partition)
		if tells := s.Shares.Tells(member, g.Partition, len(g.Acquired) > 0, g.Err != nil); tells || acked || epoch == session.Open {
			a.add(g, ackErr)
		}
	}
	for _, p := range acks {
		if err, left := acknowledged[p.Partition]; left {
			a.add(shares.Got{Partition: p.Partition}, err)
		}
	}
	return resp
}

// shareAnswer is an answer to a ShareFetch being made.
type shareAnswer struct {
	s        *Server
	listener string
	resp     *kmsg.ShareFetchResponse
}

func (a *shareAnswer) add(g shares.Got, ackErr error) {
	p := kmsg.NewShareFetchResponseTopicPartition()
	if p.Partition, p.Records = g.Index, g.Records; p.Records == nil {
		p.Records = []byte{} // null is not allowed, and kmsg would write it
	}
	p.ErrorCode, p.ErrorMessage = a.s.codeOf(g.Err, "share fetch"), wordsOf(g.Err)
	p.AcknowledgeErrorCode, p.AcknowledgeErrorMessage = a.s.codeOf(ackErr, "share acknowledge"), wordsOf(ackErr)
	p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = -1, -1
	for _, code := range []int16{p.ErrorCode, p.AcknowledgeErrorCode} {
		if h, ok := a.s.shareHint(g.Partition, a.listener, code); ok {
			p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = int32(h.leader), int32(h.epoch)
			a.endpoint(h)
		}
	}
	for _, r := range g.Acquired {
		p.AcquiredRecords = append(p.AcquiredRecords, kmsg.ShareFetchResponseTopicPartitionAcquiredRecord{
			FirstOffset: int64(r.First), LastOffset: int64(r.Last), DeliveryCount: r.Deliveries,
		})
	}
	i := slices.IndexFunc(a.resp.Topics, func(t kmsg.ShareFetchResponseTopic) bool { return t.TopicID == g.Topic })
	if i < 0 {
		i = len(a.resp.Topics)
		a.resp.Topics = append(a.resp.Topics, kmsg.ShareFetchResponseTopic{TopicID: g.Topic})
	}
	a.resp.Topics[i].Partitions = append(a.resp.Topics[i].Partitions, p)
}

func (a *shareAnswer) endpoint(h leaderHint) {
	if h.host == "" || slices.ContainsFunc(a.resp.NodeEndpoints, func(n kmsg.ShareFetchResponseNodeEndpoint) bool { return n.NodeID == int32(h.leader) }) {
		return
	}
	a.resp.NodeEndpoints = append(a.resp.NodeEndpoints, kmsg.ShareFetchResponseNodeEndpoint{NodeID: int32(h.leader), Host: h.host, Port: h.port, Rack: h.rack})
}
