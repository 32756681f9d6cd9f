package quorum

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/peer"
)

const (
	// retryPause is the least time between two attempts at one leader.
	retryPause = 100 * time.Millisecond
	// leaderPatience is how long a request waits for a leader where there is none: several elections.
	leaderPatience = 5 * time.Second
)

// Submit asks the controller and returns its reply when the records that it decided are durable, committed, applied, and
// published on this node; a reply that needed no records waits until all that it has seen is.
//
// Where another node leads, requests of Kafka's protocol are forwarded to it, again and again while the leader changes or
// cannot be reached, until ctx ends; so one may be carried out twice. Others are for the leader alone.
//
// Errors wrap kerr.NotController when another node leads, or none does, or this one ceased to before it was sure: the request
// may then have been carried out nevertheless, as it may when ctx ends. Errors of the controller are its own.
func (q *Quorum) Submit(ctx context.Context, req any) (any, error) {
	client, ok := req.(kmsg.Request)
	if !ok || q.cfg.Forward == nil {
		o := q.ask(ctx, req)
		return o.reply, o.err
	}
	for leaderless := time.Now(); ; {
		select {
		case <-q.done: // this node would never know of what is decided, and must not look alive to the controller
			return nil, q.ended()
		default:
		}
		leader, began := q.status.Load().Leader, time.Now()
		reply, err := q.attempt(ctx, leader, client)
		if err == nil || ctx.Err() != nil || isFinal(err) {
			return reply, err
		}
		if leader != kafka.NoNode {
			leaderless = time.Now()
		} else if time.Since(leaderless) >= leaderPatience {
			return nil, err
		}
		if again := q.pause(ctx, leader, began.Add(retryPause)); !again {
			return nil, err // it says more than that the time is over
		}
	}
}

// pause waits until a time, or until the leader is another one. It returns false when there is no use in going on.
func (q *Quorum) pause(ctx context.Context, leader kafka.NodeID, until time.Time) (again bool) {
	over := time.NewTimer(time.Until(until))
	defer over.Stop()
	for {
		news := q.news.next()
		if q.status.Load().Leader != leader {
			return true
		}
		select {
		case <-news:
		case <-over.C:
			return true
		case <-q.done:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// attempt asks one node once.
func (q *Quorum) attempt(ctx context.Context, leader kafka.NodeID, req kmsg.Request) (any, error) {
	switch leader {
	case kafka.NoNode:
		return nil, q.errNoLeader()
	case q.cfg.NodeID:
		o := q.ask(ctx, req)
		return o.reply, o.err
	}
	body, offset, err := q.cfg.Forward(ctx, leader, req.Key(), req.GetVersion(), req.AppendTo(nil))
	if err != nil {
		var code *kerr.Error
		if !errors.As(err, &code) {
			err = fmt.Errorf("node %d leads the metadata quorum and does not answer: %w: %w", leader, err, kerr.NotController)
		}
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("answer of node %d to %s: %w: %w", leader, kmsg.NameForKey(req.Key()), err, kerr.UnknownServerError)
	}
	return resp, q.await(ctx, offset)
}

// isFinal tells whether another attempt would bring nothing else.
func isFinal(err error) bool { return !errors.Is(err, kerr.NotController) || errors.Is(err, errEnded) }

// await returns when this node has published what was decided at an offset.
func (q *Quorum) await(ctx context.Context, offset kafka.Offset) error {
	for {
		news := q.news.next()
		if kafka.Offset(q.published.Load()) >= offset {
			return nil
		}
		select {
		case <-news:
		case <-q.done:
			return q.ended()
		case <-ctx.Done():
			return fmt.Errorf("the active controller has carried it out, but this node has not come to know of it: %w", ctx.Err())
		}
	}
}

// errNoLeader says who is missing.
func (q *Quorum) errNoLeader() error {
	st := q.status.Load()
	if len(st.Voters) == 0 {
		return fmt.Errorf("this node has not heard of the cluster's metadata yet: %w", kerr.NotController)
	}
	var missing []kafka.NodeID
	if q.cfg.Down != nil {
		down := q.cfg.Down()
		for _, id := range st.Voters {
			if slices.Contains(down, id) {
				missing = append(missing, id)
			}
		}
	}
	if len(missing) == 0 {
		return fmt.Errorf("the metadata quorum has no leader: its voters %s are electing one: %w", list(st.Voters), kerr.NotController)
	}
	return fmt.Errorf("the metadata quorum has no leader: of its voters %s there is no answer from %s; metadata cannot change until most of them are back: %w",
		list(st.Voters), list(missing), kerr.NotController)
}

func list(ids []kafka.NodeID) string {
	var words []string
	for _, id := range ids {
		words = append(words, fmt.Sprint(id))
	}
	return strings.Join(words, ", ")
}

// ask hands a request to the loop of this node and waits for what it says.
func (q *Quorum) ask(ctx context.Context, req any) outcome {
	s := &submission{req: req, reply: make(chan outcome, 1)}
	s.until, _ = ctx.Deadline()
	select {
	case q.inbox <- s:
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	case <-q.done:
		return outcome{err: q.ended()}
	}
	select {
	case o := <-s.reply:
		return o
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	case <-q.done:
	}
	// The loop may have answered just before it ended.
	select {
	case o := <-s.reply:
		return o
	default:
		return outcome{err: q.ended()}
	}
}

// errEnded marks that this node's quorum is over, which no other leader mends.
var errEnded = errors.New("it has ended")

func (q *Quorum) ended() error {
	if q.err != nil {
		return fmt.Errorf("metadata quorum has failed: %w", q.err)
	}
	return fmt.Errorf("metadata quorum is closed: %w: %w", errEnded, kerr.NotController)
}

// Serve answers a request that another node forwards. It never forwards it on: that node finds the leader.
func (q *Quorum) Serve(ctx context.Context, req *peer.SubmitRequest) *peer.SubmitResponse {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(req.TimeoutMs, 1))*time.Millisecond)
	defer cancel()
	resp := &peer.SubmitResponse{Leader: int32(q.status.Load().Leader), Offset: -1}
	client, err := decodeForwarded(req)
	if err == nil {
		o := q.ask(ctx, client)
		if answer, ok := o.reply.(kmsg.Response); ok && o.err == nil {
			answer.SetVersion(req.Version)
			resp.Offset, resp.Body = int64(o.offset), answer.AppendTo(nil)
			return resp
		}
		err = o.err
	}
	var code *kerr.Error
	switch {
	case errors.As(err, &code):
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		code = kerr.RequestTimedOut
	default:
		code = kerr.UnknownServerError
	}
	resp.ErrorCode, resp.ErrorMessage = code.Code, fmt.Sprint(err)
	resp.Leader = int32(q.status.Load().Leader)
	return resp
}

// decodeForwarded copies the body: the loop may look at the request when the frame that it came in is no more.
func decodeForwarded(req *peer.SubmitRequest) (kmsg.Request, error) {
	client := kmsg.RequestForKey(req.RequestKey)
	if client == nil || req.Version < 0 || req.Version > client.MaxVersion() {
		return nil, fmt.Errorf("forwarded request of key %d and version %d: %w", req.RequestKey, req.Version, kerr.UnsupportedVersion)
	}
	client.SetVersion(req.Version)
	if err := client.ReadFrom(bytes.Clone(req.Body)); err != nil {
		return nil, fmt.Errorf("forwarded request of key %d and version %d: %w: %w", req.RequestKey, req.Version, err, kerr.InvalidRequest)
	}
	return client, nil
}

// Answer takes a SubmitResponse apart in the way that Config.Forward returns it.
func Answer(resp *peer.SubmitResponse) ([]byte, kafka.Offset, error) {
	if code := kerr.TypedErrorForCode(resp.ErrorCode); code != nil {
		return nil, -1, refusalElsewhere{resp.ErrorMessage, code}
	}
	return resp.Body, kafka.Offset(resp.Offset), nil
}

// refusalElsewhere is why another node refused. Its message mostly says the code's text already, since Serve writes an error that wraps
// it; a reader is not told twice.
type refusalElsewhere struct {
	message string
	code    *kerr.Error
}

func (r refusalElsewhere) Error() string {
	if strings.Contains(r.message, r.code.Error()) {
		return r.message
	}
	return fmt.Sprintf("%s: %v", r.message, r.code)
}

func (r refusalElsewhere) Unwrap() error { return r.code }
