package streams

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// StreamsGroupHeartbeat, version 0. Null fields say that nothing has changed.

// maxString is the longest string of a record's key.
const maxString = 1<<15 - 1

// Client is who sent a request.
type Client struct{ ID, Host string }

// Heartbeat answers a request that Check has passed. For a request with epoch 0 g may be a new group.
func (t *Turn) Heartbeat(g *Group, from Client, req *kmsg.StreamsGroupHeartbeatRequest) (*kmsg.StreamsGroupHeartbeatResponse, error) {
	if req.MemberEpoch < 0 {
		return t.leave(g, req)
	}
	was, err := t.begin(g, req)
	if err != nil {
		return nil, err
	}
	b := beat{Turn: t, g: g, req: req, was: was, is: describe(was, from, req), e: g.now()}
	if err := b.advance(); err != nil {
		return nil, err
	}
	t.arm(Session, was.ID, t.Config.SessionTimeout)
	if req.ShutdownApplication && g.shutdown == "" {
		g.shutdown = was.ID
	}
	return b.answer(), nil
}

// begin finds the member of a heartbeat, or makes it.
func (t *Turn) begin(g *Group, req *kmsg.StreamsGroupHeartbeatRequest) (*Member, error) {
	joins := req.MemberEpoch == 0
	if joins && g.Members() >= t.Config.MaxSize {
		return nil, refuse(kerr.GroupMaxSizeReached, "The streams group has reached its maximum capacity of %d members.", t.Config.MaxSize)
	}
	m := g.Member(req.MemberID)
	switch {
	case m == nil && !joins:
		return nil, g.unknown(req.MemberID)
	case m == nil:
		return newMember(strings.Clone(req.MemberID)), nil
	}
	return m, m.admits(req)
}

func (g *Group) unknown(member string) error {
	return refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", member, g.ID)
}

// admits refuses the wrong epoch. The one before the current one is right as long as the member cannot have more than it
// should: it has not got the answer that brought the new epoch.
func (m *Member) admits(req *kmsg.StreamsGroupHeartbeatRequest) error {
	than := "smaller"
	switch {
	case req.MemberEpoch == 0 || req.MemberEpoch == m.Epoch:
		return nil
	case req.MemberEpoch > m.Epoch:
		than = "greater"
	case req.MemberEpoch == m.Previous && m.covers(reported(req)):
		return nil
	}
	return refuse(kerr.FencedMemberEpoch, "The streams group member has a %s member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.",
		than, req.MemberEpoch, m.Epoch)
}

// covers tells whether all that the member says it has is assigned to it. Who does not say may have anything.
func (m *Member) covers(reported *Assignment) bool {
	if reported == nil {
		return false
	}
	for role := range reported {
		for task := range reported[role] {
			if _, ok := m.Assigned[role][task]; !ok {
				return false
			}
		}
	}
	return true
}

// reported is the tasks that a request says the member has; nil when it does not say.
func reported(req *kmsg.StreamsGroupHeartbeatRequest) *Assignment {
	if req.ActiveTasks == nil || req.StandbyTasks == nil || req.WarmupTasks == nil {
		return nil
	}
	var a Assignment
	for role, parts := range [roles][]kmsg.TaskIDs{req.ActiveTasks, req.StandbyTasks, req.WarmupTasks} {
		for _, p := range parts {
			for _, partition := range p.Partitions {
				a.add(Role(role), Task{p.SubtopologyID, partition}, 0)
			}
		}
	}
	return &a
}

// describe is m with what the request says of it. Nothing of the request is kept.
func describe(m *Member, from Client, req *kmsg.StreamsGroupHeartbeatRequest) *Member {
	c := m.copy()
	if req.RackID != nil && !sameAt(c.Rack, req.RackID) {
		c.Rack = cloned(req.RackID)
	}
	if req.RebalanceTimeoutMillis != -1 {
		c.RebalanceTimeout = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	if req.Topology != nil {
		c.TopologyEpoch = req.Topology.Epoch
	}
	if req.ProcessID != nil && *req.ProcessID != c.Process {
		c.Process = strings.Clone(*req.ProcessID)
	}
	if e := req.UserEndpoint; e != nil {
		c.Endpoint = &Endpoint{Host: strings.Clone(e.Host), Port: e.Port}
	}
	if req.ClientTags != nil {
		tags := make(map[string]string)
		for _, tag := range req.ClientTags {
			tags[strings.Clone(tag.Key)] = strings.Clone(tag.Value)
		}
		c.Tags = nil
		for _, k := range slices.Sorted(maps.Keys(tags)) {
			c.Tags = append(c.Tags, Pair{k, tags[k]})
		}
	}
	if c.Client != from.ID || c.Host != from.Host {
		c.Client, c.Host = strings.Clone(from.ID), strings.Clone(from.Host)
	}
	return c
}

// leave takes a member out.
func (t *Turn) leave(g *Group, req *kmsg.StreamsGroupHeartbeatRequest) (*kmsg.StreamsGroupHeartbeatResponse, error) {
	if req.ShutdownApplication && g.shutdown == "" {
		g.shutdown = strings.Clone(req.MemberID)
	}
	m := g.Member(req.MemberID)
	if m == nil {
		return nil, g.unknown(req.MemberID)
	}
	t.fence(g, m)
	resp := kmsg.NewPtrStreamsGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch, resp.Status = m.ID, req.MemberEpoch, []kmsg.StreamsGroupHeartbeatResponseStatus{}
	return resp, nil
}

// beat is a heartbeat of a member that is there or joins.
type beat struct {
	*Turn
	g          *Group
	req        *kmsg.StreamsGroupHeartbeatRequest
	was, is    *Member // as it was before the request, and is after
	e          epochs
	configured *configured
	status     []Status
}

// advance takes in what the member says of itself, brings the group up to it, and the member as far towards its target as
// is safe.
func (b *beat) advance() error {
	described := !b.is.describesAs(b.was)
	if described {
		b.record(memberRecord(b.g.ID, b.is))
	}
	topology, err := b.initialize()
	if err != nil {
		return err
	}
	if err := b.follow(topology, described); err != nil {
		return err
	}
	if b.g.Members() == 0 && b.Config.InitialRebalanceDelay > 0 && !b.Live.Delaying {
		b.Live.Delaying = true
		b.arm(Delay, "", b.Config.InitialRebalanceDelay)
	}
	e, target := b.retarget(view{g: b.g, plus: b.is}, b.e, b.configured, &b.status)
	b.e = e
	if err := b.reconcile(target); err != nil {
		return err
	}
	b.g.hashed = b.Topics.Version()
	return nil
}

// initialize is the group's topology, which its first member brings.
func (b *beat) initialize() (*Topology, error) {
	topology := b.g.currentTopology()
	if b.req.Topology == nil && topology == nil {
		return nil, refuse(kerr.UnknownServerError, "The topology is null and the group topology is also null.")
	}
	if b.req.Topology != nil {
		brought := topologyOf(b.req.Topology)
		switch {
		case topology == nil:
			topology = brought
			b.record(topologyRecord(b.g.ID, topology))
		case topology.Epoch <= brought.Epoch && !topology.same(brought):
			return nil, refuse(kerr.InvalidRequest, "Topology updates are not supported yet.")
		}
	}
	if current := b.g.currentTopology(); current != nil && b.is.TopologyEpoch < current.Epoch {
		b.status = append(b.status, Status{StaleTopology,
			fmt.Sprintf("The member's topology epoch %d is behind the group's topology epoch %d.", b.is.TopologyEpoch, current.Epoch)})
	}
	return topology, nil
}

// follow bumps the group's epoch when a member, the topics or what the target goes by have changed.
func (b *beat) follow(topology *Topology, described bool) error {
	bump, e := described, b.e
	if b.g.hashed != b.Topics.Version() || b.g.currentTopology() == nil {
		e.hash = b.hash(topology.required())
	}
	var err error
	if b.configured, err = b.configure(b.g, topology); err != nil {
		return err
	}
	e.validated = -1
	if b.configured.wrong == nil {
		e.validated = topology.Epoch
		if err := b.configured.check(b.req); err != nil {
			return err
		}
	}
	e.configs = b.Config.forAssignor()
	bump = bump || e.hash != b.e.hash || e.validated != b.e.validated || !slices.Equal(e.configs, b.e.configs)
	if bump {
		e.group++
		b.e = e
		b.record(epochRecord(b.g.ID, e))
	}
	return nil
}

// check refuses tasks that there are not.
func (c *configured) check(req *kmsg.StreamsGroupHeartbeatRequest) error {
	for _, parts := range [roles][]kmsg.TaskIDs{req.ActiveTasks, req.StandbyTasks, req.WarmupTasks} {
		for _, p := range parts {
			n, ok := c.tasks[p.SubtopologyID]
			if !ok {
				return refuse(kerr.InvalidRequest, "Subtopology %s does not exist in the topology.", p.SubtopologyID)
			}
			for _, partition := range p.Partitions {
				if partition < 0 || partition >= n {
					return refuse(kerr.InvalidRequest, "Task %d for subtopology %s is invalid. Number of tasks for this subtopology: %d", partition, p.SubtopologyID, n)
				}
			}
		}
	}
	return nil
}

func (b *beat) reconcile(target Assignment) error {
	if b.is.ReconciledTo(b.e.target) {
		return nil
	}
	r := reconciliation{epoch: b.e.target, target: target, taken: b.g.taken(b.is.Process), reported: reported(b.req)}
	next, err := r.step(b.is)
	if err != nil {
		return err
	}
	if !next.assignedLike(b.is) {
		b.record(assignmentRecord(b.g.ID, next))
		if next.State == UnrevokedTasks {
			b.arm(Rebalance, next.ID, next.RebalanceTimeout)
		} else {
			b.stop(Rebalance, next.ID)
		}
	}
	b.is = next
	return nil
}

func (b *beat) answer() *kmsg.StreamsGroupHeartbeatResponse {
	resp := kmsg.NewPtrStreamsGroupHeartbeatResponse()
	resp.MemberID, resp.MemberEpoch = b.is.ID, b.is.Epoch
	resp.HeartbeatIntervalMillis = int32(b.Config.HeartbeatInterval / time.Millisecond)
	if b.req.MemberEpoch == 0 || !b.is.Assigned.Equal(b.was.Assigned) || b.missed() {
		resp.ActiveTasks, resp.StandbyTasks, resp.WarmupTasks = ids(b.is.Assigned[Active]), ids(b.is.Assigned[Standby]), ids(b.is.Assigned[Warmup])
		if b.is.Endpoint != nil {
			b.g.endpoints++
		}
	}
	if b.g.endpoints != b.req.EndpointInformationEpoch {
		resp.PartitionsByUserEndpoint = b.endpoints()
	}
	if _, known := b.g.epochs.Get(none{}); known { // a new group's count is not kept, since its records make another Group
		resp.EndpointInformationEpoch = b.g.endpoints
	}
	if wrong := b.configured.wrong; wrong != nil {
		b.status = append(b.status, *wrong)
		b.create()
	}
	if b.g.shutdown != "" {
		b.status = append(b.status, Status{ShutdownApplication,
			fmt.Sprintf("Streams group member %s encountered a fatal error and requested a shutdown for the entire application.", b.g.shutdown)})
	}
	resp.Status = []kmsg.StreamsGroupHeartbeatResponseStatus{}
	for _, s := range b.status {
		resp.Status = append(resp.Status, kmsg.StreamsGroupHeartbeatResponseStatus{StatusCode: s.Code, StatusDetail: s.Detail})
	}
	return resp
}

// missed tells that the member has not got an answer with tasks of its assignment: it says all that it has, which it does
// after an error or when that changes, and it has something else. Kafka's coordinator does not tell it again.
func (b *beat) missed() bool {
	r := reported(b.req)
	if r == nil {
		return false
	}
	for role := range r {
		if len(r[role]) != len(b.is.Assigned[role]) {
			return true
		}
	}
	return !b.is.covers(r)
}

// ids is never nil, which would say that nothing has changed.
func ids(t Tasks) []kmsg.TaskIDs {
	out := []kmsg.TaskIDs{}
	for _, p := range t.sorted() {
		out = append(out, kmsg.TaskIDs{SubtopologyID: p.subtopology, Partitions: p.partitions})
	}
	return out
}
