package app

import (
	"cmp"
	"slices"

	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/api"
)

// metadataVersion is the level of the feature metadata.version whose records this node writes: that of Apache Kafka 4.3.
const metadataVersion = 30

// kraftVersion is the level of kraft.version: voters are told apart by id alone.
const kraftVersion = 0

// eligibleReplicas is the level of eligible.leader.replicas.version: replicas that may lead without being in sync are kept
// (KIP-966).
const eligibleReplicas = 1

// groupVersion is the level of group.version: groups of the consumer protocol (KIP-848).
const groupVersion = 1

// streamsVersion is the level of streams.version: groups of Kafka Streams' own protocol (KIP-1071).
const streamsVersion = 1

// shareVersion is the level of share.version: share groups (KIP-932).
const shareVersion = 1

// transactionVersion is the level of transaction.version: a producer's epoch goes up with each transaction (KIP-890).
const transactionVersion = 2

// supportedFeatures are the levels that this node can run at. What a level promises must be whole: share.version and
// transaction.version are missing but where unstable APIs are asked for, and clients then keep to what is.
func (n *Node) supportedFeatures() []metadata.FeatureRange {
	ranges := []metadata.FeatureRange{
		{Name: "eligible.leader.replicas.version", Min: 0, Max: eligibleReplicas},
		{Name: "group.version", Min: 0, Max: groupVersion},
		{Name: "kraft.version", Min: kraftVersion, Max: kraftVersion},
		{Name: "metadata.version", Min: metadataVersion, Max: metadataVersion},
		{Name: "streams.version", Min: 0, Max: streamsVersion},
	}
	if n.Config.UnstableAPIs {
		ranges = append(ranges, metadata.FeatureRange{Name: "share.version", Min: 0, Max: shareVersion},
			metadata.FeatureRange{Name: "transaction.version", Min: 0, Max: transactionVersion})
	}
	return ranges
}

// finalizedFeatures are the levels that a new cluster begins with.
func (n *Node) finalizedFeatures() map[string]int16 {
	levels := map[string]int16{"eligible.leader.replicas.version": eligibleReplicas, "group.version": groupVersion, "metadata.version": metadataVersion,
		"streams.version": streamsVersion}
	if n.Config.UnstableAPIs {
		levels["share.version"], levels["transaction.version"] = shareVersion, transactionVersion
	}
	return levels
}

// features is what ApiVersions tells of them.
func (n *Node) features() api.Features {
	img := n.quorum.Image()
	f := api.Features{Epoch: int64(img.Offset())}
	for _, r := range n.supportedFeatures() {
		f.Supported = append(f.Supported, api.FeatureRange{Name: r.Name, Min: r.Min, Max: r.Max})
	}
	for name, level := range img.Features() {
		f.Finalized = append(f.Finalized, api.FeatureLevel{Name: name, Level: level})
	}
	slices.SortFunc(f.Finalized, func(a, b api.FeatureLevel) int { return cmp.Compare(a.Name, b.Name) })
	return f
}
