package cluster

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// quorum is the nodes that keep the metadata, as cluster quorum tells them.
type quorum struct {
	Leader  int32    `json:"leader"` // -1: none is known
	Term    int32    `json:"term"`
	End     int64    `json:"committed"` // offset up to which the metadata log is committed
	Members []member `json:"members"`
}

// member is one of them. Only voters count when something is committed; learners follow, as brokers do.
type member struct {
	ID        int32      `json:"id"`
	Role      string     `json:"role"` // leader, voter or learner
	End       int64      `json:"end"`  // of its log; -1: not known
	Lag       int64      `json:"lag"`  // records behind the leader; -1: not known
	CaughtUp  *time.Time `json:"caughtUp,omitempty"`
	heard     time.Time  // its last word, by the leader's clock; zero: not known
	directory [16]byte
	listeners []kmsg.DescribeQuorumResponseNodeListener
}

func (m member) votes() bool { return m.Role != "learner" }

func (c *commands) quorum() *cobra.Command {
	return c.ask(&cobra.Command{
		Use: "quorum", Short: "Show which nodes keep the metadata, and how far each of them is",
		Long: "Shows the leader, which is the active controller, the voters, of which most must agree on each change, and the learners, which follow.",
	}, func(ctx context.Context, client *kgo.Client, form term.Form) error {
		q, err := describeQuorum(ctx, client)
		if err != nil {
			return err
		}
		return c.env.Print(form, q, func(w io.Writer) error {
			leader := fmt.Sprintf("node %d leads", q.Leader)
			if q.Leader < 0 {
				leader = "no node leads"
			}
			fmt.Fprintf(w, "%s in term %d, the metadata is committed up to offset %d\n", leader, q.Term, q.End)
			now := time.Now()
			return term.Table(q.Members,
				term.Col("id", func(m member) any { return m.ID }),
				term.Col("role", func(m member) any { return m.Role }),
				term.Col("end", func(m member) any { return known(m.End) }),
				term.Col("lag", func(m member) any { return known(m.Lag) }),
				term.Col("caught up", func(m member) any { return ago(m, now) }))(w)
		})
	})
}

func known(n int64) any {
	if n < 0 {
		return "?"
	}
	return n
}

func ago(m member, now time.Time) string {
	switch {
	case m.Role == "leader" || m.Lag == 0:
		return "now"
	case m.CaughtUp == nil:
		return "?"
	}
	return max(0, now.Sub(*m.CaughtUp)).Round(time.Second).String() + " ago" // clocks differ
}

func describeQuorum(ctx context.Context, client *kgo.Client) (quorum, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return quorum{}, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return quorum{}, target.Explain(err, words(resp.ErrorMessage))
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return quorum{}, fmt.Errorf("the cluster answers without its metadata log: it may keep its metadata in another way")
	}
	p := &resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return quorum{}, target.Explain(err, words(p.ErrorMessage))
	}
	q := quorum{Leader: p.LeaderID, Term: p.LeaderEpoch, End: p.HighWatermark, Members: []member{}}
	for i := range p.CurrentVoters {
		q.add(&p.CurrentVoters[i], "voter")
	}
	for i := range p.Observers {
		q.add(&p.Observers[i], "learner")
	}
	q.measure(resp.Nodes)
	return q, nil
}

func (q *quorum) add(r *kmsg.DescribeQuorumResponseTopicPartitionReplicaState, role string) {
	m := member{ID: r.ReplicaID, Role: role, End: r.LogEndOffset, Lag: -1, directory: r.ReplicaDirectoryID}
	if m.ID == q.Leader && role == "voter" {
		m.Role = "leader"
	}
	if r.LastCaughtUpTimestamp >= 0 {
		at := time.UnixMilli(r.LastCaughtUpTimestamp).UTC()
		m.CaughtUp = &at
	}
	if r.LastFetchTimestamp >= 0 {
		m.heard = time.UnixMilli(r.LastFetchTimestamp)
	}
	q.Members = append(q.Members, m)
}

// measure says how far the members are behind the leader, and where they listen.
func (q *quorum) measure(nodes []kmsg.DescribeQuorumResponseNode) {
	end := int64(-1)
	for _, m := range q.Members {
		if m.Role == "leader" {
			end = m.End
		}
	}
	for i := range q.Members {
		m := &q.Members[i]
		if end >= 0 && m.End >= 0 {
			m.Lag = max(0, end-m.End)
		}
		for _, n := range nodes {
			if n.NodeID == m.ID {
				m.listeners = n.Listeners
			}
		}
	}
	slices.SortFunc(q.Members, func(a, b member) int { return int(a.ID) - int(b.ID) })
}

// behind are the voters that have not kept up with the best of the followers, whose times are the same clock's: the leader's.
func (q *quorum) behind() []int32 {
	const tolerated = 10 * time.Second
	var newest time.Time
	for _, m := range q.Members {
		if m.CaughtUp != nil && m.CaughtUp.After(newest) {
			newest = *m.CaughtUp
		}
	}
	var ids []int32
	for _, m := range q.Members {
		if m.Role == "voter" && m.Lag != 0 && !newest.IsZero() && (m.CaughtUp == nil || newest.Sub(*m.CaughtUp) > tolerated) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// answers tells whether the leader has heard of a member a moment ago.
func (q *quorum) answers(id int32) bool {
	const silence = 3 * time.Second
	leader, _ := q.member(q.Leader)
	m, ok := q.member(id)
	return ok && leader.heard.Sub(m.heard) < silence
}

func (q *quorum) member(id int32) (member, bool) {
	i := slices.IndexFunc(q.Members, func(m member) bool { return m.ID == id })
	if i < 0 {
		return member{}, false
	}
	return q.Members[i], true
}

func words(message *string) string {
	if message == nil {
		return ""
	}
	return *message
}
