package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// register tells the cluster who this node is and where it is reached, and lets it lead.
func (n *Node) register(ctx context.Context) error {
	req, err := n.registration()
	if err != nil {
		return err
	}
	reply, err := n.quorum.Submit(ctx, req)
	if err != nil {
		return fmt.Errorf("register node %d: %w", n.Config.ID, err)
	}
	registered := reply.(*kmsg.BrokerRegistrationResponse)
	if err := registrationRefused(registered.ErrorCode); err != nil {
		return fmt.Errorf("register node %d: %w", n.Config.ID, err)
	}
	n.epoch = registered.BrokerEpoch
	if err := n.unfence(ctx); err != nil {
		return err
	}
	for _, tp := range n.set.Strays() {
		n.Log.Warn("a partition folder belongs to no topic and is left alone: headrace adopt registers it, or remove it", "partition", tp.String())
	}
	return nil
}

// unfence is the node's first heartbeat. Its registration is in the Image that it has, which is all that is asked of it.
func (n *Node) unfence(ctx context.Context) error {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 1, int32(n.Config.ID), n.epoch
	req.CurrentMetadataOffset = int64(n.quorum.Image().Offset())
	reply, err := n.quorum.Submit(ctx, req)
	if err == nil {
		err = registrationRefused(reply.(*kmsg.BrokerHeartbeatResponse).ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("first heartbeat of node %d: %w", n.Config.ID, err)
	}
	return nil
}

func (n *Node) registration() (*kmsg.BrokerRegistrationRequest, error) {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version, req.BrokerID, req.ClusterID = 4, int32(n.Config.ID), n.home.Meta().ClusterID
	req.IncarnationID = logdir.NewID(n.chance)
	for _, f := range supportedFeatures() {
		r := kmsg.NewBrokerRegistrationRequestFeature()
		r.Name, r.MinSupportedVersion, r.MaxSupportedVersion = f.Name, f.Min, f.Max
		req.Features = append(req.Features, r)
	}
	for _, l := range n.Config.Advertised {
		host, err := advertisedHost(l.Host)
		if err != nil {
			return nil, err
		}
		r := kmsg.NewBrokerRegistrationRequestListener()
		r.Name, r.Host, r.Port, r.SecurityProtocol = l.Name, host, uint16(l.Port), int16(metadata.Plaintext)
		req.Listeners = append(req.Listeners, r)
	}
	if n.Config.Rack != "" {
		req.Rack = &n.Config.Rack
	}
	for i, d := range n.dirs {
		req.LogDirs = append(req.LogDirs, d.Meta().DirectoryID)
		// One dir that was not left in good order is enough to speak of an unclean stop.
		if epoch := d.PreviousBrokerEpoch(); i == 0 || epoch == req.PreviousBrokerEpoch {
			req.PreviousBrokerEpoch = epoch
		} else {
			req.PreviousBrokerEpoch = -1
		}
	}
	return req, nil
}

// registrationRefused says in words why the controller does not take a node.
func registrationRefused(code int16) error {
	err := kerr.ErrorForCode(code)
	switch {
	case errors.Is(err, kerr.DuplicateBrokerRegistration):
		return fmt.Errorf("a live node elsewhere has this id: give this one another node.id, or stop the other: %w", err)
	case errors.Is(err, kerr.InconsistentClusterID):
		return fmt.Errorf("the log dirs belong to another cluster: %w", err)
	case errors.Is(err, kerr.UnsupportedVersion):
		return fmt.Errorf("this version does not know the level of a feature that the cluster has finalized: run a newer one: %w", err)
	}
	return err
}

// advertisedHost is what clients are told in place of an empty host: this machine's name.
func advertisedHost(host string) (string, error) {
	if host != "" {
		return host, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("no host is advertised and this machine has no name: set advertised.listeners: %w", err)
	}
	return name, nil
}
