package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/metadata"
)

// Endpoint types of DescribeCluster (KIP-919).
const (
	endpointBrokers     = 1
	endpointControllers = 2
)

// describeCluster answers DescribeCluster (60): the nodes as clients reach them by the listener they asked on; one that has no
// such listener is not there for them.
func (s *Server) describeCluster(_ context.Context, c *Call, req *kmsg.DescribeClusterRequest) Response {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterAuthorizedOperations = unknownOperations
	switch req.EndpointType {
	case endpointBrokers:
	case endpointControllers:
		resp.ErrorCode, resp.ErrorMessage = failure(kerr.MismatchedEndpointType,
			"The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
		return resp
	default:
		resp.ErrorCode, resp.ErrorMessage = failure(kerr.UnsupportedEndpointType, fmt.Sprintf("Unsupported endpoint type %d", req.EndpointType))
		return resp
	}
	img := s.Metadata.Image()
	resp.ClusterID = img.ClusterID()
	resp.ControllerID = int32(img.ControllerID())
	for _, n := range img.Nodes() {
		if _, reached := listenerOf(n, c.Client.Listener); !reached || n.Fenced && !req.IncludeFencedBrokers {
			continue
		}
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Rack, b.IsFenced = int32(n.ID), n.Rack, n.Fenced
		b.Host, b.Port = endpoint(n, c.Client.Listener)
		resp.Brokers = append(resp.Brokers, b)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	return resp
}

// endpoint is where clients of a listener reach a node; a node without that listener has no address for them.
func endpoint(n *metadata.Node, listener string) (host string, port int32) {
	l, ok := listenerOf(n, listener)
	if !ok {
		return "", -1
	}
	return l.Host, int32(l.Port)
}
