package transport

import (
	"errors"
	"io"
	"time"
)

func (c *conn) decode(it *item) (*Call, error) {
	req, err := it.op.Decode(it.header.version, it.body)
	if err != nil {
		return nil, refuse("API key %d version %d: %v", it.header.key, it.header.version, err)
	}
	call := &Call{Client: c.client, Version: it.header.version, Request: req, Received: it.arrived, Pause: it.pause, Note: &c.note}
	call.Client.ID = it.header.clientID
	return call, nil
}

func (c *conn) writeLoop() {
	defer c.close()
	defer c.abandon()
	defer c.survive("answering")
	if err := c.writeAnswers(); err != nil && c.ctx.Err() == nil {
		_ = c.late(err, ClosedSlow)
		c.srv.Log.Debug("connection closed", "client", c.client.Address, "err", err)
	}
}

// abandon gives back what is still queued, until the reader has ended too.
func (c *conn) abandon() {
	c.close()
	for it := range c.queue {
		it.frame.release()
		if it.pending != nil {
			c.giveUp(it.pending)
		}
	}
}

// giveUp finishes what nobody is to hear of; a panic in it must not keep the rest from being given back.
func (c *conn) giveUp(p Pending) {
	defer c.survive("giving up")
	discard(p.Finish(c.ctx))
}

// discard gives back what an answer that is not sent holds.
func discard(r Response) {
	if s, ok := r.(Streamed); ok {
		s.Release()
	}
}

func (c *conn) writeAnswers() error {
	for {
		var it *item
		var ok bool
		select {
		case it, ok = <-c.queue:
		default:
			if err := c.out.flush(); err != nil {
				return err
			}
			it, ok = <-c.queue
		}
		if !ok {
			return c.out.flush()
		}
		if err := c.answer(it); err != nil {
			return err
		}
	}
}

// answer waits for one request's answer, or makes it, and queues it for the socket. Answers that are ready one after the
// other go out in one write.
func (c *conn) answer(it *item) error {
	if it.op.Begin == nil {
		defer c.answered()
	}
	defer it.frame.release() // also where a handler panics: its part of the budget is everybody's
	resp, err := c.finish(it)
	now := time.Now()
	c.answeredAt.Store(now.UnixNano())
	c.srv.counters.answered(it.header.key, it.arrived, now)
	if err != nil || resp == nil {
		return err
	}
	if h, ok := resp.(Hangup); ok {
		c.because(ClosedRefused)
		c.again.Store(h.Again || c.again.Load())
		c.complain(h.Reason)
		if err := c.out.flush(); err != nil {
			return err
		}
		return io.EOF
	}
	c.greeted.Store(true)
	return c.out.answer(it.header.correlation, it.op.Flexible && !it.op.PlainReply, resp)
}

func (c *conn) finish(it *item) (Response, error) {
	if it.pending != nil {
		if !it.pending.Ready() {
			if err := c.out.flush(); err != nil {
				discard(it.pending.Finish(c.ctx))
				return nil, err
			}
		}
		return it.pending.Finish(c.ctx), nil
	}
	if err := c.out.flush(); err != nil {
		return nil, err
	}
	call, err := c.decode(it)
	if err != nil {
		var refused errRefused
		if errors.As(err, &refused) {
			c.because(ClosedRefused)
			c.complain(refused.reason)
		}
		return nil, err
	}
	return it.op.Handle(c.waits, call), nil
}

func (c *conn) answered() {
	c.others.Add(-1)
	select {
	case c.turn <- struct{}{}:
	default:
	}
}
