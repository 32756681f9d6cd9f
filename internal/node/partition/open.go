package partition

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/logdir"
)

// use opens the log if need be and holds the role shared; the caller unlocks it when it no longer touches the log. After an
// error nothing is held.
func (p *Partition) use() (*commitlog.Log, error) {
	p.role.RLock()
	if p.role.log == nil && p.role.ended == nil {
		p.role.RUnlock()
		if err := p.open(); err != nil {
			return nil, err
		}
		p.role.RLock()
	}
	if p.role.ended != nil {
		defer p.role.RUnlock()
		return nil, p.role.ended
	}
	return p.role.log, nil
}

// open opens the log, which may recover it, and takes up the leadership. A failure is not remembered: the next user tries
// again.
func (p *Partition) open() error {
	if err := p.awaitCleared(); err != nil {
		return err
	}
	o, err := p.load()
	if err != nil || o.log == nil {
		return err
	}
	return p.takeUp(o)
}

// opened is a log on its way to be the partition's, whose lock for openings it holds: see takeUp.
type opened struct {
	log      *commitlog.Log
	settings *settings
}

// load opens the log, if it is not open.
func (p *Partition) load() (o opened, err error) {
	p.opening.Lock()
	defer func() {
		if o.log == nil {
			p.opening.Unlock()
		}
	}()
	if !p.unopened() {
		return o, nil
	}
	s := p.settings.Load()
	trust, err := p.trust()
	if err != nil {
		return o, err
	}
	if p.takesUp != "" {
		if err := p.dir().TakeUp(p.takesUp, p.tp); err != nil {
			return o, p.openFailed(err)
		}
	}
	// A checkpoint may come as soon as the dir knows the log, and writes this down again.
	p.highWatermark.Store(int64(max(p.HighWatermark(), p.dir().HighWatermark(p.tp))))
	log, err := p.dir().OpenReplica(trust, p.tp, p.id, s.log, time.Now(), p.set.rand())
	if err != nil {
		if trust == logdir.TakeWhole && (errors.Is(err, kerr.CorruptMessage) || errors.Is(err, commitlog.ErrForeign)) {
			p.role.RLock()
			p.hurt(err)
			p.role.RUnlock()
		}
		return o, p.openFailed(err)
	}
	return opened{log, s}, nil
}

// unsafe tells whether what was recovered may be in the page cache only. A log that began with a high watermark below its end would
// look shorter to clients than it was before.
func (p *Partition) unsafe(o opened) bool { return p.set.flushes(p) && o.log.Flushed() < o.log.End() }

// takeUp makes what was loaded durable, and the partition's.
func (p *Partition) takeUp(o opened) error {
	defer p.opening.Unlock()
	if p.unsafe(o) {
		if err := p.dir().recoveries.secure(o.log); err != nil {
			err = fmt.Errorf("flush what was recovered of %v: %w", p.tp, err)
			if errors.Is(err, commitlog.ErrNoRoom) {
				p.dir().full(err)
				p.dir().Abandon(o.log)
				return err
			}
			return p.set.storageError(p.dir(), err)
		}
	}
	return p.begin(o.log, o.settings)
}

// clearTime is how long a user waits for the folder of an earlier topic of the name to be gone. Behind the deletion of
// thousands of partitions that takes longer, and clients do better to come again.
const clearTime = 2 * time.Second

func (p *Partition) awaitCleared() error {
	if p.cleared == nil {
		return nil
	}
	select {
	case <-p.cleared:
		return nil
	case <-time.After(clearTime):
		return fmt.Errorf("%v is being deleted yet, as it was before: %w", p.tp, kerr.KafkaStorageError)
	}
}

// unopened tells whether open has something to do.
func (p *Partition) unopened() bool {
	p.role.RLock()
	defer p.role.RUnlock()
	return p.role.log == nil && p.role.ended == nil
}

// openFailed tells clients to try again later. The log dir has taken itself offline where its disk is to blame; running
// out of file descriptors, say, is not the disk's fault.
func (p *Partition) openFailed(err error) error {
	if offline := p.dir().offline(); offline != nil {
		p.dir().fail(offline)
	}
	var k *kerr.Error
	if errors.As(err, &k) {
		return err
	}
	return fmt.Errorf("%w: %w", err, kerr.KafkaStorageError)
}

// begin makes an open log the partition's. The metadata may have changed while it was recovered.
func (p *Partition) begin(log *commitlog.Log, opened *settings) error {
	p.role.Lock()
	defer p.role.Unlock()
	if s := p.settings.Load(); s != opened {
		log.SetConfig(s.log)
	}
	hw := min(max(p.HighWatermark(), log.Start()), log.End())
	p.role.log = log
	p.cutMove(log)
	p.mended(log)
	p.ends[0].Store(int64(log.End()))
	p.ends[1].Store(int64(log.End()))
	p.highWatermark.Store(int64(hw))
	log.Replicated(hw)
	p.resetLines(log)
	if p.leads() {
		return p.lead(time.Now(), log, hw)
	}
	return nil
}

// end closes the partition to everybody, for the reason given, and returns the log for the caller to close or delete. It
// waits for an opening in progress: a folder must not be deleted under it.
func (p *Partition) end(why error) *commitlog.Log {
	p.set.cleaners.leave(p)
	p.opening.Lock()
	defer p.opening.Unlock()
	p.role.Lock()
	log := p.role.log
	p.role.log, p.role.leader = nil, nil
	if p.role.ended == nil {
		p.role.ended = why
	}
	p.dropMove()
	p.role.Unlock()
	p.breakLines()
	return log
}

// openLogIn is openLog for who flushes a log dir: a partition that has moved to another one since it was to be flushed is given to the
// flusher there.
func (p *Partition) openLogIn(d *dir) *commitlog.Log {
	p.role.RLock()
	defer p.role.RUnlock()
	if now := p.dir(); now != d {
		now.flusher.add(p, 0)
		return nil
	}
	return p.role.log
}

// openLog is the partition's log, or nil. Flushing it needs no lock: a log that is closed meanwhile says so.
func (p *Partition) openLog() *commitlog.Log {
	p.role.RLock()
	defer p.role.RUnlock()
	return p.role.log
}
