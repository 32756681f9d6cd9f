package controller

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// registerBroker registers a node, fenced: its first heartbeat unfences it. A repeated registration of the same incarnation
// keeps the epoch that it has, and changes what it says of itself.
func (s *step) registerBroker(req *kmsg.BrokerRegistrationRequest) (*kmsg.BrokerRegistrationResponse, error) {
	old, _ := s.img.Node(kafka.NodeID(req.BrokerID))
	if p := s.checkRegistration(req, old); p != nil {
		return nil, p
	}
	r := registrationRecord(req)
	if err := s.checkRoles(r); err != nil {
		return nil, err
	}
	resp := req.ResponseKind().(*kmsg.BrokerRegistrationResponse)
	if old != nil && old.Incarnation == r.Incarnation {
		r.Epoch, r.Fenced, r.InControlledShutdown = old.Epoch, old.Fenced, old.InControlledShutdown
		s.enact(r)
		if now, _ := s.img.Node(old.ID); now.Equal(old) {
			s.records = nil
		}
		resp.BrokerEpoch = old.Epoch
		return resp, nil
	}
	// A node's epoch is the offset of the record that registers it: the first of this batch.
	r.Epoch = int64(s.img.Offset()) + 1
	s.enact(r)
	again := &restart{id: r.Node, old: old, dirs: r.LogDirs, offline: len(r.LogDirs) < len(req.LogDirs)}
	if old != nil {
		again.clean = req.PreviousBrokerEpoch == old.Epoch
		again.gone = slices.DeleteFunc(slices.Clone(old.LogDirs), func(d kafka.TopicID) bool { return slices.Contains(r.LogDirs, d) })
	}
	s.settleRestart(again)
	resp.BrokerEpoch = r.Epoch
	return resp, nil
}

// Roles are those that a registration speaks of.
func Roles(req *kmsg.BrokerRegistrationRequest) metadata.Roles {
	return registrationRecord(req).Roles()
}

func registrationRecord(req *kmsg.BrokerRegistrationRequest) *metadata.RegisterBrokerRecord {
	r := &metadata.RegisterBrokerRecord{
		Node: kafka.NodeID(req.BrokerID), Incarnation: req.IncarnationID, Rack: req.Rack, Fenced: true,
	}
	for i := range req.Listeners {
		l := &req.Listeners[i]
		r.Listeners = append(r.Listeners, metadata.Listener{
			Name: l.Name, Host: l.Host, Port: l.Port, Protocol: metadata.SecurityProtocol(l.SecurityProtocol),
		})
	}
	for i := range req.Features {
		f := &req.Features[i]
		r.Features = append(r.Features, metadata.FeatureRange{Name: f.Name, Min: f.MinSupportedVersion, Max: f.MaxSupportedVersion})
	}
	for _, dir := range req.LogDirs {
		if dir != metadata.LostDir {
			r.LogDirs = append(r.LogDirs, dir)
		}
	}
	return r
}

func (s *step) checkRegistration(req *kmsg.BrokerRegistrationRequest, old *metadata.Node) *Problem {
	switch {
	case req.ClusterID != s.img.ClusterID():
		return problem(kerr.InconsistentClusterID, "Expected cluster ID %s, but got cluster ID %s", s.img.ClusterID(), req.ClusterID)
	case req.BrokerID < 0:
		return problem(kerr.InvalidRequest, "Invalid negative broker ID.")
	case len(req.Listeners) == 0:
		return problem(kerr.InvalidRegistration, "Broker %d has no listener.", req.BrokerID)
	case old != nil && !old.Fenced && old.Incarnation != req.IncarnationID && !s.succeeds(old, req):
		return problem(kerr.DuplicateBrokerRegistration, "Another broker is registered with that broker id. If the broker was recently "+
			"restarted this should self-resolve once the heartbeat manager expires the broker's session.")
	case req.IsMigratingZkBroker:
		return problem(kerr.BrokerIDNotRegistered, "Controller does not support registering ZK brokers.")
	}
	if p := s.checkLogDirs(req); p != nil {
		return p
	}
	return s.checkFeatures(req)
}

// checkRoles refuses a node that is no broker any more and has replicas still: nothing would fetch them, or lead. The error comes with
// its words, for which Kafka's response has no room.
func (s *step) checkRoles(r *metadata.RegisterBrokerRecord) error {
	if r.Roles()&metadata.BrokerRole != 0 {
		return nil
	}
	has := 0
	s.eachPartition(func(_ *metadata.Topic, _ int32, p *metadata.Partition) {
		if slices.Contains(p.Replicas, r.Node) {
			has++
		}
	})
	if has == 0 {
		return nil
	}
	return fmt.Errorf("node %d has replicas of %d partitions, and process.roles=controller has none: start it with process.roles=broker,controller, "+
		"move them away (headrace cluster decommission %d), and start it again: %w", r.Node, has, r.Node, kerr.InvalidRegistration)
}

// succeeds tells a node that was restarted before its session was over from another one that took its id by mistake. Two
// processes cannot be reached at one address (the first listener is the one that nodes use); who has the mark of the other's
// clean stop knows that it is gone; and the active controller, which this is, cannot be mistaken for anybody else.
func (s *step) succeeds(old *metadata.Node, req *kmsg.BrokerRegistrationRequest) bool {
	l := req.Listeners[0]
	there := len(old.Listeners) > 0 && old.Listeners[0].Host == l.Host && old.Listeners[0].Port == l.Port
	return there || req.PreviousBrokerEpoch == old.Epoch || s.img.ControllerID() == old.ID
}

// checkLogDirs takes, besides directories, LostDir once: it says that the node has a directory that is offline, of which it may not
// be able to read the id. Apache Kafka leaves that out, so that its controller cannot tell such a directory from one that is gone.
func (s *step) checkLogDirs(req *kmsg.BrokerRegistrationRequest) *Problem {
	if len(req.LogDirs) == 0 || len(req.LogDirs) == 1 && req.LogDirs[0] == metadata.LostDir {
		return problem(kerr.InvalidRegistration, "No directories specified in request")
	}
	for i, dir := range req.LogDirs {
		switch {
		case metadata.ReservedDir(dir) && dir != metadata.LostDir:
			return problem(kerr.InvalidRegistration, "Reserved directory ID in request")
		case slices.Contains(req.LogDirs[:i], dir):
			return problem(kerr.InvalidRegistration, "Duplicate directory ID in request")
		}
		for _, n := range s.img.Nodes() {
			if n.ID != kafka.NodeID(req.BrokerID) && slices.Contains(n.LogDirs, kafka.TopicID(dir)) {
				return problem(kerr.InvalidRegistration, "Broker %d is already registered with directory %s", n.ID, kafka.TopicID(dir))
			}
		}
	}
	return nil
}

// checkFeatures refuses a node that does not support what the cluster has finalised.
func (s *step) checkFeatures(req *kmsg.BrokerRegistrationRequest) *Problem {
	for _, name := range sortedKeys(s.img.Features()) {
		level := s.img.Features()[name]
		var has kmsg.BrokerRegistrationRequestFeature // what a node does not name it has at level 0 only
		if i := slices.IndexFunc(req.Features, func(f kmsg.BrokerRegistrationRequestFeature) bool { return f.Name == name }); i >= 0 {
			has = req.Features[i]
		}
		if level < has.MinSupportedVersion || level > has.MaxSupportedVersion {
			return problem(kerr.UnsupportedVersion, "Unable to register because the broker does not support finalized version %d of %s. "+
				"The broker wants a version between %d and %d, inclusive.", level, name, has.MinSupportedVersion, has.MaxSupportedVersion)
		}
	}
	return nil
}

// restart is what a registration tells of the time between a node's incarnations.
type restart struct {
	id   kafka.NodeID
	old  *metadata.Node // nil when the node was not registered
	dirs []kafka.TopicID
	gone []kafka.TopicID // directories that the node had before
	// offline says that the node has a directory beside dirs that it cannot use at present.
	offline bool
	// clean tells that the process before this one ended in good order, and nobody was registered in between.
	clean bool
}

// settleRestart makes the partitions follow what a registration says of its node. It is fenced now, and so in no ISR. What it
// may still lead depends on what its disks hold.
func (s *step) settleRestart(r *restart) {
	s.eachPartition(func(t *metadata.Topic, n int32, p *metadata.Partition) {
		if !slices.Contains(p.Replicas, r.id) {
			return
		}
		c := s.newChange(t, n)
		switch s.holding(r, t, p) {
		case holdsNothing:
			c.lost = []kafka.NodeID{r.id}
		case holdsPart:
			c.doubted = []kafka.NodeID{r.id}
		case holdsAll:
			if p.Leader != r.id && !slices.Contains(p.ISR, r.id) {
				return
			}
		}
		c.isr = without(p.ISR, []kafka.NodeID{r.id})
		s.commit(c)
	})
}

// holding is what of the acknowledged records a replica is known to hold.
type holding int8

const (
	holdsAll holding = iota
	holdsPart
	holdsNothing
)

// holding judges the node's replica of a partition. After an unclean stop a disk holds what was flushed. That is all that was
// ever acknowledged where the topic flushes (durability=flush): a leader counts no record, and a follower asks for no next
// one, before the flush. There this node's log is as good as after a clean stop. Elsewhere its end may be missing.
//
// A directory that the node does not have any more takes its replicas with it. While some directory of the node is offline, one
// that is missing is taken for that one: it may come back, with what was flushed. Where it is not known which directory a
// replica is in, because the node chose it, it is lost when none of the directories is left, or when nothing is known of
// the incarnation before.
func (s *step) holding(r *restart, t *metadata.Topic, p *metadata.Partition) holding {
	dir := p.Directory(r.id)
	known := !metadata.ReservedDir(dir)
	missing := known && !slices.Contains(r.dirs, dir)
	switch {
	case r.offline && missing && s.flushes(t):
		return holdsAll
	case r.offline && (missing || !known && len(r.gone) > 0):
		return holdsPart
	case missing:
		return holdsNothing
	case !known && r.old == nil:
		return holdsNothing
	case !known && len(r.gone) > 0 && len(r.gone) == len(r.old.LogDirs):
		return holdsNothing
	case !known && len(r.gone) > 0:
		return holdsPart
	case !r.clean && !s.flushes(t):
		return holdsPart
	}
	return holdsAll
}
