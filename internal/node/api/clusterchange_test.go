package api

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestLeadersAreElectedByCommand(t *testing.T) {
	w := newWorld(t)
	w.topic("a", 1, nil)
	for version := int16(0); version <= 2; version++ {
		req := kmsg.NewPtrElectLeadersRequest()
		for _, topic := range []string{"a", "ghost"} {
			rt := kmsg.NewElectLeadersRequestTopic()
			rt.Topic, rt.Partitions = topic, []int32{0}
			req.Topics = append(req.Topics, rt)
		}
		resp := ask[*kmsg.ElectLeadersResponse](w, req, version)
		if resp.ErrorCode != 0 || len(resp.Topics) != 2 || resp.Topics[0].Partitions[0].ErrorCode != kerr.ElectionNotNeeded.Code ||
			resp.Topics[1].Partitions[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("version %d: %+v", version, resp)
		}
		if all := ask[*kmsg.ElectLeadersResponse](w, kmsg.NewPtrElectLeadersRequest(), version); all.ErrorCode != 0 {
			t.Errorf("version %d: %+v", version, all)
		}
	}
}

func TestANodeIsForgotten(t *testing.T) {
	w := newWorld(t)
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = 7
	if resp := ask[*kmsg.UnregisterBrokerResponse](w, req, 0); resp.ErrorCode != kerr.BrokerIDNotRegistered.Code || resp.ErrorMessage == nil {
		t.Errorf("%+v", resp)
	}
	req.BrokerID = 1
	if resp := ask[*kmsg.UnregisterBrokerResponse](w, req, 0); resp.ErrorCode != 0 || len(w.Image().Nodes()) != 0 {
		t.Errorf("%+v", resp)
	}
}

func TestFeaturesAreUpdatedOrRefusedTogether(t *testing.T) {
	w := newWorld(t)
	req := kmsg.NewPtrUpdateFeaturesRequest()
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType = "no.such.version", 1, 1
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	for version := int16(0); version <= 2; version++ {
		if resp := ask[*kmsg.UpdateFeaturesResponse](w, req, version); resp.ErrorCode != kerr.InvalidUpdateVersion.Code || resp.ErrorMessage == nil {
			t.Errorf("version %d: %+v", version, resp)
		}
	}
}

// noController is a quorum without a leader.
type noController struct{}

func (noController) Submit(context.Context, any) (any, error) {
	return nil, errors.Join(errors.New("voters 2 and 3 do not answer"), kerr.NotController)
}

func TestChangesOfTheClusterWithoutAControllerFailWithItsWords(t *testing.T) {
	w := newWorld(t)
	w.srv.Controller = noController{}
	elect := kmsg.NewPtrElectLeadersRequest()
	rt := kmsg.NewElectLeadersRequestTopic()
	rt.Topic, rt.Partitions = "a", []int32{0}
	elect.Topics = append(elect.Topics, rt)
	if p := ask[*kmsg.ElectLeadersResponse](w, elect, 0).Topics[0].Partitions[0]; p.ErrorCode != kerr.NotController.Code || p.ErrorMessage == nil {
		t.Errorf("%+v", p)
	}
	if code := ask[*kmsg.ElectLeadersResponse](w, elect, 2).ErrorCode; code != kerr.NotController.Code {
		t.Error(code)
	}
	codes := []int16{
		ask[*kmsg.UnregisterBrokerResponse](w, kmsg.NewPtrUnregisterBrokerRequest(), 0).ErrorCode,
		ask[*kmsg.UpdateFeaturesResponse](w, kmsg.NewPtrUpdateFeaturesRequest(), 2).ErrorCode,
		ask[*kmsg.AlterPartitionAssignmentsResponse](w, kmsg.NewPtrAlterPartitionAssignmentsRequest(), 1).ErrorCode,
		ask[*kmsg.ListPartitionReassignmentsResponse](w, kmsg.NewPtrListPartitionReassignmentsRequest(), 0).ErrorCode,
	}
	for i, code := range codes {
		if code != kerr.NotController.Code {
			t.Errorf("%d: code %d", i, code)
		}
	}
}
