package group

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/group/consumer"
	"github.com/headrace/headrace/internal/core/machine"
)

// Groups that change their protocol while they have members, and classic members of groups of the new one. What happens to members and
// partitions is core/group/consumer's.

// upgrade makes a classic group with members one of the new protocol, in the turn w. Who waits for an answer is told to join again.
func (t *turn) upgrade(g *group, w *consumer.Turn) (*consumer.Group, func(), error) {
	refuse := func(why string) error {
		return &consumer.Refusal{Is: kerr.GroupIDNotFound, Message: fmt.Sprintf("Cannot upgrade classic group %s to consumer group because %s.", g.id, why)}
	}
	switch {
	case !w.Config.Upgrade:
		return nil, nil, refuse("online upgrade is disabled")
	case !g.usesConsumerProtocol():
		return nil, nil, refuse("the group does not use the consumer embedded protocol")
	case len(g.members) > w.Config.MaxSize:
		return nil, nil, refuse("the group size exceeds the consumer group maximum size")
	}
	former := make([]consumer.Former, len(g.members))
	for i, m := range g.members {
		former[i] = m.former(g.protocol)
	}
	c, err := w.Upgrade(g.id, g.generation, former)
	if err != nil {
		return nil, nil, err
	}
	return c, func() {
		t.record(groupKey(g.id), nil)
		for _, m := range g.members {
			t.answerJoin(g, m, joinError(m.id, kerr.RebalanceInProgress))
			t.answerSync(m, syncError(kerr.RebalanceInProgress))
		}
		t.drop(g)
	}, nil
}

// former is the member as it goes over. A group that has not chosen a protocol yet asks for that of the member's liking.
func (m *member) former(chosen string) consumer.Former {
	f := consumer.Former{
		ID: m.id, Client: m.clientID, Host: m.clientHost, Instance: m.instance,
		RebalanceTimeout: m.rebalanceTimeout, Session: m.sessionTimeout, Metadata: m.metadata(chosen), Assignment: m.assignment,
	}
	for _, p := range m.protocols {
		f.Protocols = append(f.Protocols, consumer.Protocol{Name: p.name, Metadata: p.metadata})
	}
	if chosen == "" && len(m.protocols) > 0 {
		f.Metadata = m.protocols[0].metadata
	}
	return f
}

// downgrade puts the classic group in the place of the other, whose end is among the records already.
func (t *turn) downgrade(id string, w *consumer.Turn, d *consumer.Downgrade) {
	g := &group{id: strings.Clone(id), protocolType: consumerProtocol, generation: d.Generation}
	g.prepareMembers()
	for _, m := range d.Members {
		l := &member{
			id: m.ID, instance: m.Instance, clientID: m.Client, clientHost: m.Host, protocolType: consumerProtocol,
			rebalanceTimeout: m.RebalanceTimeout, sessionTimeout: m.Classic.SessionTimeout,
		}
		for _, p := range m.Classic.Protocols {
			l.protocols = append(l.protocols, protocol{name: p.Name, metadata: p.Metadata})
		}
		g.add(l)
	}
	g.protocol = g.vote()
	g.become(stable, t.millis())
	for i, m := range g.members {
		m.assignment = w.Embed(d.Members[i], m.metadata(g.protocol))
		t.arm(g.session(m.id), m.sessionTimeout)
	}
	g.findSubscribed()
	t.s.live[g.id] = g
	t.record(groupKey(g.id), g.value(nil))
	if d.Rebalance {
		t.rebalance(g)
	}
}

// joinConsumers is a JoinGroup to a group of the new protocol with members.
func (t *turn) joinConsumers(c *consumer.Group, r machine.Request, req *kmsg.JoinGroupRequest) {
	j := consumer.Joining{
		Member: strings.Clone(req.MemberID), Instance: copyInstance(req.InstanceID),
		From:         consumer.Client{ID: strings.Clone(r.ClientID), Host: strings.Clone(r.ClientHost)},
		ProtocolType: req.ProtocolType, NeedsID: req.InstanceID == nil && r.Version >= joinRequiresMemberID,
	}
	j.RebalanceTimeout, j.Session = joining{Request: r, req: req}.timeouts()
	for _, p := range copyProtocols(req.Protocols) {
		j.Protocols = append(j.Protocols, consumer.Protocol{Name: p.name, Metadata: p.metadata})
	}
	w := t.work(c.ID)
	m, err := w.Join(c, j)
	switch {
	case m != nil && err != nil:
		t.reply(waiterOf(r), joinError(m.ID, err))
		return
	case err != nil:
		t.reply(waiterOf(r), joinError("", err))
		return
	}
	t.take(c.ID, w)
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.MemberID, resp.Generation = m.ID, m.Epoch
	resp.ProtocolType, resp.Protocol = kmsg.StringPtr(consumerProtocol), &m.Classic.Protocols[0].Name
	t.replyAfterCommit(waiterOf(r), resp)
}

// syncConsumers is a SyncGroup to a group of the new protocol: it waits for the records of the JoinGroup before it.
func (t *turn) syncConsumers(c *consumer.Group, r machine.Request, req *kmsg.SyncGroupRequest) {
	w := t.work(c.ID)
	assignment, err := w.Fetch(c, req)
	t.take(c.ID, w)
	if err != nil {
		t.fail(r, err)
		return
	}
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ProtocolType, resp.Protocol, resp.MemberAssignment = copyInstance(req.ProtocolType), copyInstance(req.Protocol), assignment
	t.replyAfterCommit(waiterOf(r), resp)
}

func (t *turn) beatConsumers(c *consumer.Group, req *kmsg.HeartbeatRequest) error {
	w := t.work(c.ID)
	err := w.Beat(c, req.MemberID, req.InstanceID, req.Generation)
	t.take(c.ID, w)
	return err
}

// revive starts the timers of a group that is back because its records were not appended, whichever protocol it has now.
func (t *turn) revive(id string) {
	if _, ok := t.s.consumers.Get(id); ok {
		if g := t.s.live[id]; g != nil {
			t.drop(g)
		}
		t.startTimers(id)
		return
	}
	if saved, ok := t.s.saved.Get(id); ok && t.s.live[id] == nil && len(saved.members) > 0 {
		t.live(id, saved)
	}
}
