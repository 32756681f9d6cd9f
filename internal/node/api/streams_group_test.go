package api

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/groups"
)

// The streams protocol is answered when the cluster has streams.version 1 and the node's file has the protocol. A coordinator that
// leads nothing then says so; before, nobody is asked.
func TestStreamsProtocolNeedsLevelAndConfiguration(t *testing.T) {
	w := newWorld(t)
	coordinator := groups.New(groups.Config{Partitions: 1, Group: group.DefaultConfig(nil), Image: w.Image(), Rand: rand.New(rand.NewPCG(1, 2))})
	defer coordinator.Close()
	w.srv.Groups = coordinator
	ask := func() (beat, describe int16) {
		h := kmsg.NewPtrStreamsGroupHeartbeatRequest()
		h.Group, h.MemberID = "g", "m"
		d := kmsg.NewPtrStreamsGroupDescribeRequest()
		d.Groups = []string{"g"}
		c := &Call{}
		c.Request = h
		beat = w.srv.streamsGroupHeartbeat(context.Background(), c, h).(*kmsg.StreamsGroupHeartbeatResponse).ErrorCode
		c.Request = d
		describe = w.srv.streamsGroupDescribe(context.Background(), c, d).(*kmsg.StreamsGroupDescribeResponse).Groups[0].ErrorCode
		return beat, describe
	}
	for _, at := range []struct {
		level int16
		file  bool
		want  *kerr.Error
	}{{0, true, kerr.UnsupportedVersion}, {1, false, kerr.UnsupportedVersion}, {1, true, kerr.NotCoordinator}} {
		img, _ := w.Image().Apply([]metadata.Record{&metadata.FeatureLevelRecord{Name: streamsVersion, Level: at.level}}, w.Image().Offset()+1)
		w.img.Store(img)
		w.srv.StreamsGroups = at.file
		if beat, describe := ask(); beat != at.want.Code || describe != at.want.Code {
			t.Errorf("level %d, in the file %v: a heartbeat is answered %d, a description %d, not %d", at.level, at.file, beat, describe, at.want.Code)
		}
	}
}
