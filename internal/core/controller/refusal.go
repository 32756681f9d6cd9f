package controller

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
)

// refuseWhole answers every part of a request with the same error: these responses have no place for one of the whole.
func refuseWhole(req any, p *Problem) any {
	switch req := req.(type) {
	case *kmsg.CreateTopicsRequest:
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		for i := range req.Topics {
			resp.Topics = append(resp.Topics, refusedTopic(req.Topics[i].Topic, p))
		}
		return resp
	case *kmsg.DeleteTopicsRequest:
		d := &deletion{resp: req.ResponseKind().(*kmsg.DeleteTopicsResponse)}
		for i := range req.TopicNames {
			d.refuse(&req.TopicNames[i], kafka.TopicID{}, p)
		}
		for i := range req.Topics {
			d.refuse(req.Topics[i].Topic, req.Topics[i].TopicID, p)
		}
		return d.resp
	case *kmsg.CreatePartitionsRequest:
		resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
		for i := range req.Topics {
			r := kmsg.NewCreatePartitionsResponseTopic()
			r.Topic, r.ErrorCode, r.ErrorMessage = req.Topics[i].Topic, p.Code.Code, p.message()
			resp.Topics = append(resp.Topics, r)
		}
		return resp
	case *kmsg.IncrementalAlterConfigsRequest:
		resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		for i := range req.Resources {
			resp.Resources = append(resp.Resources, incrementalAnswer(&req.Resources[i], p))
		}
		return resp
	case *kmsg.AlterConfigsRequest:
		resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
		for i := range req.Resources {
			resp.Resources = append(resp.Resources, legacyAnswer(&req.Resources[i], p))
		}
		return resp
	}
	return refuseNode(req, p)
}

// refuseNode does so for responses with one error for the whole. Those to nodes have no place for words.
func refuseNode(req any, p *Problem) any {
	switch req := req.(type) {
	case *kmsg.BrokerRegistrationRequest:
		resp := req.ResponseKind().(*kmsg.BrokerRegistrationResponse)
		resp.ErrorCode = p.Code.Code
		return resp
	case *kmsg.BrokerHeartbeatRequest:
		resp := req.ResponseKind().(*kmsg.BrokerHeartbeatResponse)
		resp.ErrorCode = p.Code.Code
		return resp
	case *kmsg.AlterPartitionRequest:
		resp := req.ResponseKind().(*kmsg.AlterPartitionResponse)
		resp.ErrorCode = p.Code.Code
		return resp
	case *kmsg.AssignReplicasToDirsRequest:
		resp := req.ResponseKind().(*kmsg.AssignReplicasToDirsResponse)
		resp.ErrorCode = p.Code.Code
		return resp
	case *kmsg.AllocateProducerIDsRequest:
		resp := req.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
		resp.ErrorCode = p.Code.Code
		return resp
	case *kmsg.UnregisterBrokerRequest:
		resp := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
		resp.ErrorCode, resp.ErrorMessage = p.Code.Code, p.message()
		return resp
	case *kmsg.UpdateFeaturesRequest:
		resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
		resp.ErrorCode, resp.ErrorMessage = p.Code.Code, p.message()
		return resp
	case *kmsg.AlterPartitionAssignmentsRequest:
		resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
		resp.ErrorCode, resp.ErrorMessage = p.Code.Code, p.message()
		return resp
	case *kmsg.ElectLeadersRequest:
		resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
		resp.ErrorCode = p.Code.Code
		return resp
	}
	return nil
}
