package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/liveness"
)

// registerTime bounds one request to be registered: longer than an election takes.
const registerTime = 6 * time.Second

// register tells the cluster who this node is and where it is reached, and returns when partitions may be led by it.
func (n *Node) register(ctx context.Context) error {
	if err := n.registerAs(ctx, n.previousEpoch()); err != nil {
		return err
	}
	if err := n.unfence(ctx); err != nil {
		return err
	}
	for _, tp := range n.set.Strays() {
		n.Log.Warn("a partition folder belongs to no topic and is left alone: headrace adopt registers it, or remove it", "partition", tp.String())
	}
	n.tellMinISR()
	if n.Offline {
		return nil
	}
	c := n.Config.Cluster
	w := liveness.Config{
		Self: n.Config.ID, Log: n.Log.With("component", "liveness"), Image: n.quorum.Image, Submit: n.quorum.Submit,
		Probe: n.probes.Probe, Down: n.link.Down, Majority: n.majority, LastHeard: n.quorum.LastHeard, LeaderLost: n.quorum.LeaderLost,
		Register: n.registerAnew, OfflineDirs: n.offlineDirs, Session: c.Session, Heartbeat: c.Heartbeat, Unclean: c.UncleanInterval,
	}
	if c.BalanceLeaders {
		w.Balance = c.BalanceInterval
	}
	return n.guard.begin(w)
}

// majority tells whether this node and those that it has connections to can decide anything.
func (n *Node) majority() bool {
	voters, down := n.quorum.Status().Voters, n.link.Down()
	reached := 0
	for _, id := range voters {
		if id == n.Config.ID || !slices.Contains(down, id) {
			reached++
		}
	}
	return 2*reached > len(voters)
}

// previousEpoch is that of the registration before, if the node was stopped cleanly under it; -1 tells the controller that it
// was not.
func (n *Node) previousEpoch() int64 {
	const unknown = -1
	var epochs []int64
	for _, d := range n.dirs {
		switch {
		case d.Offline() != nil: // its replicas are judged by that
		case !d.WasClean():
			return unknown
		default:
			epochs = append(epochs, d.PreviousBrokerEpoch())
		}
	}
	if epochs = slices.Compact(epochs); len(epochs) != 1 {
		return unknown
	}
	return epochs[0]
}

// registerAnew registers the process once more, whose registration was replaced or removed. Nothing says what its disk holds
// of what was acknowledged since: it counts as stopped uncleanly. One that was removed from the cluster altogether stops instead:
// it may have been decommissioned, and only a new start says that it is wanted again.
func (n *Node) registerAnew(ctx context.Context) error {
	if n.removed(ctx) {
		err := errors.New("this node was removed from the cluster (unregistered); if it is started again it comes back")
		n.fail(err)
		return err
	}
	err := n.registerAs(ctx, -1)
	if errors.Is(err, kerr.DuplicateBrokerRegistration) {
		n.fail(err)
	}
	return err
}

// removed tells whether the active controller, another node, counts this one no more among the members of the quorum, so that it
// hears of nothing that is decided.
func (n *Node) removed(ctx context.Context) bool {
	st := n.quorum.Status()
	at, ok := n.peers.resolve(st.Leader)
	if st.Leader == n.Config.ID || !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	resp, err := n.link.Hello(ctx, at)
	if err != nil || resp.Leader != resp.NodeID {
		return false
	}
	return !slices.ContainsFunc(resp.Members, func(m peer.Member) bool { return kafka.NodeID(m.ID) == n.Config.ID })
}

// registerAs asks until the controller has decided. A node whose id is taken asks for a while: what has it may be the process
// before this one, which is not known to be gone yet.
func (n *Node) registerAs(ctx context.Context, previous int64) error {
	req, err := n.registration(previous)
	if err != nil {
		return err
	}
	began, told := time.Now(), time.Now()
	for {
		epoch, err := n.tryRegistration(ctx, req)
		if err == nil {
			n.epoch.Store(epoch)
			return nil
		}
		taken := errors.Is(err, kerr.DuplicateBrokerRegistration) && time.Since(began) < duplicateTime && n.guard.started() == nil
		if !taken && !errors.Is(err, kerr.NotController) && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("register node %d: %w", n.Config.ID, err)
		}
		if time.Since(told) > tellWaiting {
			told = time.Now()
			n.Log.Warn("waiting to be registered", "err", err)
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("register node %d: %w", n.Config.ID, err)
		}
	}
}

// tryRegistration asks once. The answer is that the controller has decided and that this node knows of it. One that was removed from
// the members while it was down may have taken what the leader had left to tell it for the newest, and hears no more: it asks to be let in.
func (n *Node) tryRegistration(ctx context.Context, req *kmsg.BrokerRegistrationRequest) (epoch int64, err error) {
	soon, cancel := context.WithTimeout(ctx, registerTime)
	defer cancel()
	epoch, err = n.submitRegistration(soon, req)
	if errors.Is(err, context.DeadlineExceeded) && n.gate != nil {
		n.announce(ctx)
	}
	return epoch, err
}

func (n *Node) submitRegistration(ctx context.Context, req *kmsg.BrokerRegistrationRequest) (epoch int64, err error) {
	reply, err := n.quorum.Submit(ctx, req)
	if err != nil {
		return -1, err
	}
	resp, ok := reply.(*kmsg.BrokerRegistrationResponse)
	if !ok {
		return -1, fmt.Errorf("the controller answered %T", reply)
	}
	return resp.BrokerEpoch, registrationRefused(resp.ErrorCode)
}

// registrationRefused says in words why the controller does not take a node.
func registrationRefused(code int16) error {
	err := kerr.ErrorForCode(code)
	switch {
	case errors.Is(err, kerr.DuplicateBrokerRegistration):
		return fmt.Errorf("a live node elsewhere has this id: give this one another node.id and empty log dirs, or stop the other: %w", err)
	case errors.Is(err, kerr.InconsistentClusterID):
		return fmt.Errorf("the log dirs belong to another cluster: %w", err)
	case errors.Is(err, kerr.UnsupportedVersion):
		return fmt.Errorf("this version does not know the level of a feature that the cluster has finalized: run a newer one: %w", err)
	}
	return err
}

// registration is what this node says of itself. The listener that nodes use among themselves comes first.
func (n *Node) registration(previous int64) (*kmsg.BrokerRegistrationRequest, error) {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version = req.MaxVersion()
	req.BrokerID, req.ClusterID, req.IncarnationID = int32(n.Config.ID), n.home.Meta().ClusterID, n.incarnation
	req.PreviousBrokerEpoch = previous
	if n.Config.Rack != "" {
		req.Rack = &n.Config.Rack
	}
	listeners := n.Config.Advertised
	if opensControllers(n.Config) {
		listeners = slices.Concat(listeners, n.Config.AdvertisedControllers)
	}
	for _, l := range listeners {
		host, err := advertisedHost(l.Host)
		if err != nil {
			return nil, err
		}
		rl := kmsg.NewBrokerRegistrationRequestListener()
		rl.Name, rl.Host, rl.Port, rl.SecurityProtocol = l.Name, host, uint16(l.Port), int16(metadata.Plaintext)
		req.Listeners = append(req.Listeners, rl)
	}
	if i := n.Config.Cluster.InterBroker; i > 0 {
		req.Listeners[0], req.Listeners[i] = req.Listeners[i], req.Listeners[0]
	}
	features := n.supportedFeatures()
	if f, ok := n.roles().Feature(); ok {
		features = append(features, f)
	}
	for _, f := range features {
		rf := kmsg.NewBrokerRegistrationRequestFeature()
		rf.Name, rf.MinSupportedVersion, rf.MaxSupportedVersion = f.Name, f.Min, f.Max
		req.Features = append(req.Features, rf)
	}
	req.LogDirs = n.onlineDirs()
	return req, nil
}

// roles are those of the configuration.
func (n *Node) roles() (r metadata.Roles) {
	if n.Config.Broker {
		r |= metadata.BrokerRole
	}
	if n.Config.Controller {
		r |= metadata.ControllerRole
	}
	return r
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

// unfence sends heartbeats until the controller lets partitions be led here. The metadata up to the registration is there
// already, so that one is enough, unless the controller changes.
func (n *Node) unfence(ctx context.Context) error {
	for {
		req := kmsg.NewPtrBrokerHeartbeatRequest()
		req.Version = req.MaxVersion()
		req.BrokerID, req.BrokerEpoch, req.CurrentMetadataOffset = int32(n.Config.ID), n.epoch.Load(), int64(n.quorum.Image().Offset())
		reply, err := n.quorum.Submit(ctx, req)
		if err != nil && !errors.Is(err, kerr.NotController) {
			return fmt.Errorf("register node %d: %w", n.Config.ID, err)
		}
		if resp, ok := reply.(*kmsg.BrokerHeartbeatResponse); err == nil && ok {
			if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
				return fmt.Errorf("register node %d: %w", n.Config.ID, err)
			}
			if !resp.IsFenced {
				return nil
			}
		}
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// Failed gets the reason for which the node must not go on, if there comes to be one: whoever runs it closes it.
func (n *Node) Failed() <-chan error { return n.failed }

// fail notes why the node must not go on. The first reason counts.
func (n *Node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}

// checkOwner notices that another process has taken this node's id: both would take themselves for the leader of the same
// partitions.
func (n *Node) checkOwner(img *metadata.Image) {
	epoch := n.epoch.Load()
	if self, ok := img.Node(n.Config.ID); ok && epoch >= 0 && self.Epoch > epoch && self.Incarnation != n.incarnation {
		n.fail(fmt.Errorf("another process has registered as node %d: give one of them another node.id and empty log dirs: %w",
			n.Config.ID, kerr.DuplicateBrokerRegistration))
	}
}

// tellMinISR says so where the file asks for another min.insync.replicas than the cluster has, which is that of the file with
// which the cluster was begun, until somebody sets another: it must be one for all nodes.
func (n *Node) tellMinISR() {
	const key = "min.insync.replicas"
	img, static := n.quorum.Image(), n.static.Load()
	asked, given := static.Get(key)
	if in := layersIn(img, n.Config.ID, *static).BrokerDefault[key]; given && in != "" && in != asked {
		n.Log.Warn("min.insync.replicas of the configuration has no effect: the cluster has its own, see headrace config set cluster "+key+"=N",
			"configured", asked, "cluster", in)
	}
}
