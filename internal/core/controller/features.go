package controller

import (
	"maps"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/metadata"
)

// metadataVersion comes first in a log: it tells a reader which records to expect.
const metadataVersion = "metadata.version"

// kraftVersion is what the raft group is capable of. Its level is in no record: it is that of the group.
const kraftVersion = "kraft.version"

// minISRKey is the key that says from how many in-sync replicas on the high watermark moves.
const minISRKey = "min.insync.replicas"

func (s *step) bootstrap() Bootstrapped {
	if len(s.img.Features()) > 0 {
		return Bootstrapped{}
	}
	names := sortedKeys(s.cfg.Features)
	if i := slices.Index(names, metadataVersion); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, metadataVersion)
	}
	for _, name := range names {
		s.add(&metadata.FeatureLevelRecord{Name: name, Level: s.cfg.Features[name]})
	}
	if s.cfg.Features[eligibleReplicas] > 0 {
		s.unifyMinISR()
	}
	return Bootstrapped{}
}

// unifyMinISR makes one min.insync.replicas count on all nodes, by a default of the cluster. Which replicas are eligible to
// lead follows from how far a leader may have moved its high watermark: a leader that went by a lower number, of its own
// file, would have acknowledged what an eligible replica lacks.
func (s *step) unifyMinISR() {
	cluster := metadata.ConfigResource{Type: metadata.BrokerConfig}
	if _, ok := s.img.Config(cluster)[minISRKey]; !ok {
		value := strconv.Itoa(s.cfg.Rules.MinISR(s.img, ""))
		s.add(&metadata.ConfigRecord{Resource: cluster, Name: minISRKey, Value: &value})
	}
	for r, set := range s.img.Configs() {
		if _, ok := set[minISRKey]; ok && r.Type == metadata.BrokerConfig && r != cluster {
			s.add(&metadata.ConfigRecord{Resource: r, Name: minISRKey})
		}
	}
}

// The upgrade types of UpdateFeatures.
const (
	upgrade         = 1
	safeDowngrade   = 2
	unsafeDowngrade = 3
)

// updateFeatures changes all the levels that are asked for, or none.
func (s *step) updateFeatures(req *kmsg.UpdateFeaturesRequest) (*kmsg.UpdateFeaturesResponse, error) {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	for i := range req.FeatureUpdates {
		u := &req.FeatureUpdates[i]
		if p := s.updateFeature(u, upgradeType(req.Version, u)); p != nil {
			p.Message = "The update failed for all features since the following feature had an error: " + p.Message
			return nil, p
		}
		if req.Version <= 1 {
			r := kmsg.NewUpdateFeaturesResponseResult()
			r.Feature = u.Feature
			resp.Results = append(resp.Results, r)
		}
	}
	if req.ValidateOnly {
		s.records = nil
	}
	return resp, nil
}

// upgradeType is told by a flag in version 0.
func upgradeType(version int16, u *kmsg.UpdateFeaturesRequestFeatureUpdate) int8 {
	switch {
	case version > 0:
		return u.UpgradeType
	case u.AllowDowngrade:
		return safeDowngrade
	}
	return upgrade
}

func (s *step) updateFeature(u *kmsg.UpdateFeaturesRequestFeatureUpdate, kind int8) *Problem {
	refuse := func(format string, args ...any) *Problem {
		p := problem(kerr.InvalidUpdateVersion, format, args...)
		p.Message = "Invalid update version " + itoa(int(u.MaxVersionLevel)) + " for feature " + u.Feature + ". " + p.Message
		return p
	}
	was := s.img.Features()[u.Feature]
	switch {
	case kind < upgrade || kind > unsafeDowngrade:
		return refuse("The controller does not support the given upgrade type.")
	case u.MaxVersionLevel < 0:
		return refuse("A feature version cannot be less than 0.")
	}
	if why := s.unsupported(u.Feature, u.MaxVersionLevel); why != "" {
		return refuse("%s", why)
	}
	switch {
	case u.MaxVersionLevel < was && kind == upgrade:
		return refuse("Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.")
	case u.MaxVersionLevel > was && kind != upgrade:
		return refuse("Can't downgrade to a newer version.")
	case u.Feature == kraftVersion:
		return nil // the one level that is supported is the one that is
	}
	if u.Feature == eligibleReplicas && u.MaxVersionLevel == 0 && was > 0 {
		if n := s.leaderlessButEligible(); n > 0 {
			return refuse("%d partition(s) have no in-sync replica, and would lose those that are eligible to lead them: start their nodes first.", n)
		}
	}
	if u.MaxVersionLevel == was {
		return nil
	}
	s.enact(&metadata.FeatureLevelRecord{Name: u.Feature, Level: u.MaxVersionLevel})
	if u.Feature == eligibleReplicas {
		s.settleEligibleReplicas(u.MaxVersionLevel)
	}
	return nil
}

// unsupported says which node does not support a level. The active controller counts, too: a node alone whose registration somebody
// removed has to be able to come back.
func (s *step) unsupported(feature string, level int16) string {
	for _, n := range s.img.Nodes() {
		if why := unsupportedBy(n.Features, feature, level); why != "" {
			return "Broker " + itoa(int(n.ID)) + why
		}
	}
	if s.cfg.Supported != nil {
		if why := unsupportedBy(s.cfg.Supported, feature, level); why != "" {
			return "The active controller" + why
		}
	}
	return ""
}

func unsupportedBy(ranges []metadata.FeatureRange, feature string, level int16) string {
	i := slices.IndexFunc(ranges, func(f metadata.FeatureRange) bool { return f.Name == feature })
	switch {
	case i < 0 && level > 0 || i >= 0 && ranges[i].Max == 0 && level > 0:
		return " does not support this feature."
	case i >= 0 && (level < ranges[i].Min || level > ranges[i].Max):
		return " only supports versions " + itoa(int(ranges[i].Min)) + "-" + itoa(int(ranges[i].Max))
	}
	return ""
}

func (s *step) leaderlessButEligible() (n int) {
	s.eachPartition(func(_ *metadata.Topic, _ int32, p *metadata.Partition) {
		if len(p.ISR) == 0 && len(p.ELR) > 0 {
			n++
		}
	})
	return n
}

// settleEligibleReplicas makes configuration and partitions fit to whether eligible replicas are kept. They grow by what
// happens from here on; what there is goes at once.
func (s *step) settleEligibleReplicas(level int16) {
	if level > 0 {
		s.unifyMinISR()
		return
	}
	s.eachPartition(func(t *metadata.Topic, n int32, p *metadata.Partition) {
		if len(p.ELR)+len(p.LastKnownELR) > 0 {
			s.commit(s.newChange(t, n))
		}
	})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
