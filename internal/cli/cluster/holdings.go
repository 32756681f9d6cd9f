package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/cluster/plan"
	"github.com/headrace/headrace/internal/cli/target"
)

// cordonKey is the broker's key that keeps new replicas away (KIP-1066).
const cordonKey = "cordoned.log.dirs"

// holdings is what nodes hold, as plans are made of it.
type holdings struct {
	nodes      []plan.Node
	partitions []plan.Partition
	leaders    map[string]int32 // those of the moment, by the partition's name
	unsized    bool             // a node did not tell how much its partitions hold
	dead       []int32
}

// holdingsOf asks the cluster.
func holdingsOf(ctx context.Context, client *kgo.Client) (holdings, error) {
	meta, err := metadataNow(ctx, client)
	if err != nil {
		return holdings{}, err
	}
	a := kadm.NewClient(client)
	dirs, err := a.DescribeAllLogDirs(ctx, nil)
	h := holdings{unsized: err != nil, leaders: map[string]int32{}}
	for _, b := range meta.Brokers {
		n := plan.Node{ID: b.NodeID}
		n.Cordoned, _ = isCordoned(ctx, a, b.NodeID, len(dirs[b.NodeID]))
		if b.Rack != nil {
			n.Rack = *b.Rack
		}
		h.nodes = append(h.nodes, n)
	}
	sizes := sizesOf(dirs)
	for _, t := range meta.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return holdings{}, target.Refused(err, "topic %s: %s", words(t.Topic), target.Explain(err, ""))
		}
		for _, p := range t.Partitions {
			if len(p.Replicas) == 0 {
				continue
			}
			one := plan.Partition{Topic: words(t.Topic), Number: p.Partition, Replicas: p.Replicas}
			one.Bytes, h.leaders[one.Name()] = sizes[one.Name()], p.Leader
			h.partitions = append(h.partitions, one)
			h.noteDead(p.Replicas)
		}
	}
	slices.Sort(h.dead)
	return h, nil
}

// metadataNow is what the controller says: other nodes may be behind it, and the client's own metadata is up to five seconds
// old. A plan that is made of what was would move again what has moved.
func metadataNow(ctx context.Context, client *kgo.Client) (*kmsg.MetadataResponse, error) {
	nodes, err := nodesNow(ctx, client)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrMetadataRequest() // all topics
	req.AllowAutoTopicCreation = false
	if nodes.ControllerID < 0 {
		return req.RequestWith(ctx, client)
	}
	resp, err := client.Broker(int(nodes.ControllerID)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// nodesNow is the nodes that are there and not fenced, and the controller.
func nodesNow(ctx context.Context, client *kgo.Client) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	return resp, kerr.ErrorForCode(resp.ErrorCode)
}

func isThere(nodes *kmsg.MetadataResponse, id int32) bool {
	return slices.ContainsFunc(nodes.Brokers, func(b kmsg.MetadataResponseBroker) bool { return b.NodeID == id })
}

// noteDead notes nodes that are known by their replicas alone.
func (h *holdings) noteDead(replicas []int32) {
	for _, id := range replicas {
		if !h.alive(id) && !slices.Contains(h.dead, id) {
			h.dead = append(h.dead, id)
		}
	}
}

func (h *holdings) alive(id int32) bool {
	return slices.ContainsFunc(h.nodes, func(n plan.Node) bool { return n.ID == id })
}

// sizesOf is the bytes of the largest replica of each partition: that is what a new one copies at most.
func sizesOf(dirs kadm.DescribedAllLogDirs) map[string]int64 {
	sizes := map[string]int64{}
	for _, of := range dirs {
		for _, d := range of {
			for topic, partitions := range d.Topics {
				for n, p := range partitions {
					name := fmt.Sprintf("%s:%d", topic, n)
					sizes[name] = max(sizes[name], p.Size)
				}
			}
		}
	}
	return sizes
}

// isCordoned tells whether a node takes no new replicas: its directories are cordoned by a star, or each by its name. A node
// that does not say, as older ones, takes some; known is false where it does not answer.
func isCordoned(ctx context.Context, a *kadm.Client, id int32, dirs int) (cordoned, known bool) {
	configs, err := a.DescribeBrokerConfigs(ctx, id)
	if err != nil {
		return false, false
	}
	for _, r := range configs {
		if r.Err != nil {
			return false, false
		}
		for _, k := range r.Configs {
			if value := strings.TrimSpace(k.MaybeValue()); k.Key == cordonKey && value != "" {
				return value == "*" || dirs > 0 && len(strings.Split(value, ",")) >= dirs, true
			}
		}
	}
	return false, true
}
