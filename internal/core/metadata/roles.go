package metadata

import (
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// Roles are what a node is for: process.roles.
type Roles int16

// The roles.
const (
	BrokerRole     Roles = 1 // it has replicas, and takes clients
	ControllerRole Roles = 2 // it may vote on the metadata
	BothRoles            = BrokerRole | ControllerRole
)

// rolesFeature is how a node that has not both roles says so in its registration, among the features that it supports: its
// Max are the roles. Kafka registers brokers and controllers by requests of their own. Here both are nodes that are alive or
// not, whose registration has the same form; nodes of versions before take this for a feature that they do not know.
const rolesFeature = "process.roles"

// Feature is what a node with these roles adds to the features of its registration; ok is false where it adds nothing.
func (r Roles) Feature() (f FeatureRange, ok bool) {
	return FeatureRange{Name: rolesFeature, Min: 0, Max: int16(r)}, r != BothRoles
}

// rolesIn are those that a registration with these features tells.
func rolesIn(features []FeatureRange) Roles {
	i := slices.IndexFunc(features, func(f FeatureRange) bool { return f.Name == rolesFeature })
	if i < 0 || Roles(features[i].Max)&BothRoles == 0 {
		return BothRoles
	}
	return Roles(features[i].Max) & BothRoles
}

// Roles are those of the node that is registered.
func (b *RegisterBrokerRecord) Roles() Roles { return rolesIn(b.Features) }

// IsBroker tells whether the node may have replicas.
func (n *Node) IsBroker() bool { return rolesIn(n.Features)&BrokerRole != 0 }

// IsController tells whether the node may vote.
func (n *Node) IsController() bool { return rolesIn(n.Features)&ControllerRole != 0 }

// Brokers are the registered nodes that may have replicas, fenced ones included, sorted by id.
func (img *Image) Brokers() []*Node {
	if !slices.ContainsFunc(img.nodes, func(n *Node) bool { return !n.IsBroker() }) {
		return img.nodes
	}
	return slices.DeleteFunc(slices.Clone(img.nodes), func(n *Node) bool { return !n.IsBroker() })
}

// Broker finds a node that may have replicas by its id.
func (img *Image) Broker(id kafka.NodeID) (*Node, bool) {
	n, ok := img.Node(id)
	if !ok || !n.IsBroker() {
		return nil, false
	}
	return n, true
}
