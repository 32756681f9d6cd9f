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

// The consumer protocol is answered when the cluster has group.version 1 and the node's file has the protocol. A coordinator that
// leads nothing then says so; before, nobody is asked.
func TestConsumerProtocolNeedsLevelAndConfiguration(t *testing.T) {
	w := newWorld(t)
	w.srv.Groups = groups.New(groups.Config{Partitions: 1, Group: group.DefaultConfig(nil), Image: w.Image(), Rand: rand.New(rand.NewPCG(1, 2))})
	ask := func() (beat, describe int16) {
		h := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		h.Version, h.Group, h.MemberID = 1, "g", "m"
		d := kmsg.NewPtrConsumerGroupDescribeRequest()
		d.Version, d.Groups = 1, []string{"g"}
		c := &Call{Version: 1}
		c.Request = h
		beat = w.srv.consumerGroupHeartbeat(context.Background(), c, h).(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode
		c.Request = d
		describe = w.srv.consumerGroupDescribe(context.Background(), c, d).(*kmsg.ConsumerGroupDescribeResponse).Groups[0].ErrorCode
		return beat, describe
	}
	for _, at := range []struct {
		level int16
		file  bool
		want  *kerr.Error
	}{{0, true, kerr.UnsupportedVersion}, {1, false, kerr.UnsupportedVersion}, {1, true, kerr.NotCoordinator}} {
		img, _ := w.Image().Apply([]metadata.Record{&metadata.FeatureLevelRecord{Name: groupVersion, Level: at.level}}, w.Image().Offset()+1)
		w.img.Store(img)
		w.srv.ConsumerGroups = at.file
		if beat, describe := ask(); beat != at.want.Code || describe != at.want.Code {
			t.Errorf("level %d, in the file %v: a heartbeat is answered %d, a description %d, not %d", at.level, at.file, beat, describe, at.want.Code)
		}
	}
	w.srv.Groups.(*groups.Groups).Close()
}
