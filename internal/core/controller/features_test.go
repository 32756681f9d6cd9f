package controller

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/metadata"
)

// A node alone whose registration was removed could not come back if the cluster got a level meanwhile that it does not know.
func TestALevelThatTheActiveControllerDoesNotKnowIsRefusedWithoutNodes(t *testing.T) {
	c := New(Config{Supported: []metadata.FeatureRange{{Name: "group.version", Max: 1}}})
	for level, refused := range map[int16]bool{1: false, 2: true} {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.Version = 2
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel, u.UpgradeType = "group.version", level, upgrade
		req.FeatureUpdates = append(req.FeatureUpdates, u)
		out := c.Step(time.Time{}, rand.New(rand.NewPCG(1, 2)), metadata.New("c"), req)
		if code := out.Reply.(*kmsg.UpdateFeaturesResponse).ErrorCode; (code == kerr.InvalidUpdateVersion.Code) != refused || (len(out.Records) == 0) != refused {
			t.Errorf("level %d: code %d, %d records", level, code, len(out.Records))
		}
	}
}
