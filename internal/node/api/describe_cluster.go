package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// Endpoint types of DescribeCluster (KIP-919).
const (
	endpointBrokers     = 1
	endpointControllers = 2
)

// Endpoint is what kinds of nodes are asked for at a listener: brokers, or controllers (KIP-919).
type Endpoint struct{ Brokers, Controllers bool }

// describeCluster answers DescribeCluster (60): the nodes of a kind, as they are reached from the listener that was asked on.
func (s *Server) describeCluster(_ context.Context, c *Call, req *kmsg.DescribeClusterRequest) Response {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterAuthorizedOperations = unknownOperations
	img, at := s.Metadata.Image(), s.endpoint(c.Client.Listener)
	switch {
	case req.EndpointType == endpointBrokers && at.Brokers:
		describeBrokers(resp, img, c.Client.Listener, req.IncludeFencedBrokers)
	case req.EndpointType == endpointControllers && at.Controllers:
		describeControllers(resp, img, c.Client.Listener)
	case req.EndpointType == endpointBrokers:
		resp.ErrorCode, resp.ErrorMessage = mismatched("CONTROLLER", "BROKER")
	case req.EndpointType == endpointControllers:
		resp.ErrorCode, resp.ErrorMessage = mismatched("BROKER", "CONTROLLER")
	default:
		resp.ErrorCode, resp.ErrorMessage = failure(kerr.UnsupportedEndpointType, fmt.Sprintf("Unsupported endpoint type %d", req.EndpointType))
	}
	if resp.ErrorCode != 0 {
		return resp
	}
	resp.ClusterID = img.ClusterID()
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	return resp
}

func (s *Server) endpoint(listener string) Endpoint {
	if s.Endpoint == nil {
		return Endpoint{Brokers: true}
	}
	return s.Endpoint(listener)
}

func mismatched(is, wanted string) (int16, *string) {
	return failure(kerr.MismatchedEndpointType, "The request was sent to an endpoint of type "+is+", but we wanted an endpoint of type "+wanted)
}

// describeBrokers lists the brokers that have the listener; one without is not there for who asks on it. Where no broker is the
// active controller any other passes on what is for it.
func describeBrokers(resp *kmsg.DescribeClusterResponse, img *metadata.Image, listener string, fenced bool) {
	resp.ControllerID = int32(img.ControllerID())
	_, reached := img.Broker(img.ControllerID())
	for _, n := range img.Brokers() {
		if _, ok := listenerOf(n, listener); !ok || n.Fenced && !fenced {
			continue
		}
		if !reached && img.ControllerID() != kafka.NoNode && !n.Fenced {
			resp.ControllerID, reached = int32(n.ID), true
		}
		resp.Brokers = append(resp.Brokers, described(n, listener))
	}
}

// describeControllers lists the controllers that are there.
func describeControllers(resp *kmsg.DescribeClusterResponse, img *metadata.Image, listener string) {
	resp.ControllerID, resp.EndpointType = int32(img.ControllerID()), endpointControllers
	for _, n := range img.Nodes() {
		if !n.IsController() || n.Fenced || len(n.Listeners) == 0 {
			continue
		}
		at := listener
		if _, ok := listenerOf(n, at); !ok {
			at = n.Listeners[0].Name // controllers may have listeners of other names: each answers
		}
		resp.Brokers = append(resp.Brokers, described(n, at))
	}
}

func described(n *metadata.Node, listener string) kmsg.DescribeClusterResponseBroker {
	b := kmsg.NewDescribeClusterResponseBroker()
	b.NodeID, b.Rack, b.IsFenced = int32(n.ID), n.Rack, n.Fenced
	b.Host, b.Port = endpoint(n, listener)
	return b
}

// endpoint is where clients of a listener reach a node; a node without that listener has no address for them.
func endpoint(n *metadata.Node, listener string) (host string, port int32) {
	l, ok := listenerOf(n, listener)
	if !ok {
		return "", -1
	}
	return l.Host, int32(l.Port)
}
