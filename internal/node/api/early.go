package api

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/await"
	"github.com/headrace/headrace/internal/node/partition"
)

// earlyPatience is how long a request that came too early waits, counted from when it came.
const earlyPatience = 250 * time.Millisecond

// patiently asks a partition, and where the request came too early, again when its role has changed. When a leader moves, the one before
// tells clients who leads now (KIP-951), and they can be there before the news is: a few milliseconds. Refused, they would pause: a Go
// client for a quarter of a second when it produces, and for a second when it asks where an epoch ends.
func (s *Server) patiently(ctx context.Context, came time.Time, part *partition.Partition, try func() error) error {
	err := try()
	for s.early(part, err) && !part.Broken() {
		w := await.NewWaiter(1)
		part.AwaitMore(w, math.MaxInt64-1) // no high watermark comes so far, but a change of the role wakes all
		if err = try(); s.early(part, err) && wokenBy(ctx, w, came.Add(earlyPatience)) {
			err = try()
		} else {
			part.LeaveMore(w)
			return err
		}
	}
	return err
}

// early tells whether err may be over in a moment: the client knows a leader epoch that this node does not, or the metadata says that
// this node leads and the partition is about to.
func (s *Server) early(part *partition.Partition, err error) bool {
	if errors.Is(err, kerr.UnknownLeaderEpoch) {
		return true
	}
	if !errors.Is(err, kerr.NotLeaderForPartition) {
		return false
	}
	given, ok := s.Metadata.Image().Partition(part.Name())
	return ok && given.Leader == s.NodeID && given.Leader != kafka.NoNode && !part.Role().Leads
}
