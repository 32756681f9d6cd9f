package group

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/core/machine"
)

// DeleteGroups, versions 0 to 2 (3 brings a message). Share groups go in two steps: their records say which partitions' state is
// to be deleted, the share coordinator deletes it, and only then the groups and all others of the request are gone. When
// this coordinator is lost in between, the group is still there, and who deletes it again has the rest deleted.

// deletion is a DeleteGroups request that waits for the share coordinator.
type deletion struct {
	of     waiter
	groups []string
	shares []SharesOf
}

func deleteError(req *kmsg.DeleteGroupsRequest, err error) *kmsg.DeleteGroupsResponse {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	for _, id := range req.Groups {
		resp.Groups = append(resp.Groups, kmsg.DeleteGroupsResponseGroup{Group: id, ErrorCode: code(err)})
	}
	return resp
}

func (t *turn) deleteGroups(r machine.Request, req *kmsg.DeleteGroupsRequest) {
	d := &deletion{of: waiterOf(r)}
	asked := make(map[string]struct{}, len(req.Groups))
	for _, id := range req.Groups {
		d.groups = append(d.groups, strings.Clone(id))
		g, ok := t.s.shares.Get(id)
		if _, twice := asked[id]; !ok || twice || g.Members() > 0 {
			continue
		}
		asked[id] = struct{}{}
		w := t.workShare(id)
		if topics := w.Deleting(g); len(topics) > 0 {
			t.out.Records = append(t.out.Records, w.Out.Records...)
			d.shares = append(d.shares, SharesOf{Group: g.ID, Topics: topics})
		}
	}
	if len(d.shares) == 0 {
		t.endDeletion(d, nil)
		return
	}
	t.watch(d)
}

// committed has the state be deleted, as the log says by now that it is to be.
func (d *deletion) committed(t *turn) {
	t.s.lastDeletion++
	t.s.deletions[t.s.lastDeletion] = d
	t.out.Tasks = append(t.out.Tasks, DeleteShares{ID: t.s.lastDeletion, Groups: d.shares})
}

func (d *deletion) failed(t *turn, err error) {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	for _, id := range d.groups {
		resp.Groups = append(resp.Groups, kmsg.DeleteGroupsResponseGroup{Group: id, ErrorCode: code(err)})
	}
	t.reply(d.of, resp)
}

func (t *turn) sharesDeleted(ev SharesDeleted) {
	if d, ok := t.s.deletions[ev.ID]; ok {
		delete(t.s.deletions, ev.ID)
		t.endDeletion(d, ev.Failed)
	}
}

// endDeletion removes the groups but for those whose state could not be deleted.
func (t *turn) endDeletion(d *deletion, failed map[string]error) {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	done := make(map[string]struct{}, len(d.groups))
	for _, id := range d.groups {
		err := failed[id]
		if _, twice := done[id]; !twice && err == nil {
			err = t.deleteGroup(id)
		}
		done[id] = struct{}{}
		resp.Groups = append(resp.Groups, kmsg.DeleteGroupsResponseGroup{Group: id, ErrorCode: code(err)})
	}
	t.replyAfterCommit(d.of, resp)
}

// deleteGroup removes a group without members, and all its offsets.
func (t *turn) deleteGroup(id string) error {
	if c, ok := t.s.consumers.Get(id); ok {
		return t.deleteConsumers(c)
	}
	if g, ok := t.s.shares.Get(id); ok {
		if g.Members() > 0 {
			return kerr.NonEmptyGroup
		}
		t.out.Records = append(t.out.Records, g.Tombstones()...)
		return nil
	}
	if g, ok := t.s.streams.Get(id); ok {
		return t.deleteStreams(g)
	}
	g := t.s.group(id)
	if g == nil {
		return groupNotFound(id)
	}
	if g.state != empty {
		return kerr.NonEmptyGroup
	}
	t.deleteOffsets(id)
	t.record(groupKey(id), nil)
	t.drop(g)
	return nil
}

func (t *turn) deleteOffsets(id string) {
	for _, tp := range t.s.partitions(id) {
		t.record(offsetKey(id, tp.Topic, tp.Partition), nil)
	}
	t.endOpen(func(o openOffset) bool { return o.group == id })
}
