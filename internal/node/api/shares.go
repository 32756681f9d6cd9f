package api

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share"
	"github.com/headrace/headrace/internal/core/share/session"
	"github.com/headrace/headrace/internal/node/shares"
)

// Shares is the partitions of share groups that this node leads: shares.Shares is the one implementation.
type Shares interface {
	// BeginFetch and BeginAcknowledge take a request of a session in; a session that begins ends with ctx.
	BeginFetch(ctx context.Context, k session.Key, epoch int32, add, forget []session.Partition, acks bool) ([]session.Partition, error)
	BeginAcknowledge(k session.Key, epoch int32) error
	EndSession(k session.Key)
	// Tells tells whether the answer to a fetch has the partition.
	Tells(k session.Key, p session.Partition, records, failed bool) bool
	Acknowledge(ctx context.Context, member session.Key, p session.Partition, acks []share.Acknowledgement) error
	Fetch(ctx context.Context, f shares.Fetch) []shares.Got
	// Lock is for how long a member of the group has what it acquires.
	Lock(group string) int32
}

// Versions of ShareFetch and ShareAcknowledge that can renew locks (KIP-1222), and the longest id of a member.
const (
	shareRenewFrom   = 2
	maxShareMemberID = 36
)

// shareMember is who asks, unless that makes no sense.
func shareMember(group, member *string) (session.Key, error) {
	switch {
	case group == nil:
		return session.Key{}, fmt.Errorf("%s: %w", "Invalid group id in the request.", kerr.InvalidRequest)
	case member == nil || *member == "" || len(*member) > maxShareMemberID:
		return session.Key{}, fmt.Errorf("%s: %w", "Invalid member id in the request.", kerr.InvalidRequest)
	}
	return session.Key{Group: *group, Member: *member}, nil
}

// partitionAcks is what a member says of one partition.
type partitionAcks struct {
	session.Partition
	acks []share.Acknowledgement
	err  error // why it was not taken in
}

// acknowledgeAll takes in what a member says, all partitions at the same time: each waits for the share coordinator.
func (s *Server) acknowledgeAll(ctx context.Context, member session.Key, all []partitionAcks, renew bool) {
	var wg sync.WaitGroup
	for i := range all {
		p := &all[i]
		if p.err = share.CheckAcknowledgements(p.acks, renew); p.err != nil {
			continue
		}
		wg.Go(func() { p.err = s.Shares.Acknowledge(ctx, member, p.Partition, p.acks) })
	}
	wg.Wait()
}

func acknowledgement(first, last int64, types []int8) share.Acknowledgement {
	a := share.Acknowledgement{First: kafka.Offset(first), Last: kafka.Offset(last)}
	for _, t := range types {
		a.Types = append(a.Types, share.AcknowledgeType(t))
	}
	return a
}

// shareHint is who leads a partition instead of this node, for answers that say that this one does not.
func (s *Server) shareHint(p session.Partition, listener string, code int16) (leaderHint, bool) {
	if code != kerr.NotLeaderForPartition.Code && code != kerr.FencedLeaderEpoch.Code {
		return leaderHint{}, false
	}
	name, err := s.topicName(p.Topic)
	if err != nil {
		return leaderHint{}, false
	}
	return s.leaderHint(kafka.TopicPartition{Topic: name, Partition: p.Index}, listener)
}

// wordsOf is words, where there may be no error.
func wordsOf(err error) *string {
	if err == nil {
		return nil
	}
	return words(err)
}
