package partition

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/core/replica"
	"github.com/headrace/headrace/internal/storage/commitlog"
	"github.com/headrace/headrace/internal/storage/producers"
	"github.com/headrace/headrace/internal/storage/segment"
)

// Position is where a consumer wants to read from.
type Position struct {
	Offset kafka.Offset
	// Epoch is the leader epoch that the client knows, LastEpoch that of the last record it has; -1 for neither.
	Epoch, LastEpoch kafka.LeaderEpoch
	MaxBytes         int
	MinOne           bool // the first batch even if it is larger than MaxBytes
	Committed        bool // read_committed: not past the last stable offset
}

// Fetched is what there is at a Position. Plan must be released.
type Fetched struct {
	Plan                      commitlog.ReadPlan
	Start, HighWatermark, LSO kafka.Offset
	Aborted                   []commitlog.AbortedTxn
	Diverging                 *EpochEnd // the client's log is not ours from there on: nothing was read
}

// EpochEnd is the end of a leader epoch in the log.
type EpochEnd = replica.EpochEnd

// mayAsk compares the leader epoch that a client knows with ours. Where the epoch is over and another node leads, that is what the
// client needs to hear: told that its epoch is over, a Go client first asks this node where the epoch ended, and does not go on before
// its next metadata, five seconds later. p.role is locked.
func (p *Partition) mayAsk(client kafka.LeaderEpoch) error {
	err := replica.CheckEpoch(client, p.role.given.LeaderEpoch)
	if p.role.leader == nil && errors.Is(err, kerr.FencedLeaderEpoch) {
		return fmt.Errorf("%v: %w", err, errNotLeader)
	}
	return err
}

// led runs f with the log, if this node leads and the client's idea of the epoch is ours.
func (p *Partition) led(epoch kafka.LeaderEpoch, f func(log *commitlog.Log, l *replica.Leader) error) error {
	log, err := p.use()
	if err != nil {
		return err
	}
	defer p.role.RUnlock()
	if err := p.mayAsk(epoch); err != nil {
		return err
	}
	if p.role.leader == nil {
		return errNotLeader
	}
	return f(log, p.role.leader)
}

// Fetch plans a read. An error may come with Start and the other offsets set: OffsetOutOfRange does.
func (p *Partition) Fetch(at Position) (f Fetched, err error) {
	err = p.led(at.Epoch, func(log *commitlog.Log, _ *replica.Leader) error {
		f, err = p.plan(log, at)
		return p.ifSure(err)
	})
	return f, err
}

// ifSure is the error of a read, unless it says that something does not exist and this node may no longer know: clients give up
// their position for it.
func (p *Partition) ifSure(err error) error {
	if errors.Is(err, kerr.OffsetOutOfRange) && p.set.Lapsed() {
		return fmt.Errorf("%v, as far as this node knows, which hears of no controller: %w", err, errNotLeader)
	}
	return err
}

// FetchNearby is Fetch for a consumer that takes a follower too (KIP-392). A follower has what its leader told it is committed.
func (p *Partition) FetchNearby(at Position) (Fetched, error) {
	log, err := p.use()
	if err != nil {
		return Fetched{}, err
	}
	defer p.role.RUnlock()
	if err := p.mayAsk(at.Epoch); err != nil {
		return Fetched{}, err
	}
	if p.role.leader == nil && !p.follows() {
		return Fetched{}, errNotLeader
	}
	f, err := p.plan(log, at)
	return f, p.ifSure(err)
}

func (p *Partition) plan(log *commitlog.Log, at Position) (f Fetched, err error) {
	f.Start, f.HighWatermark = log.Start(), p.HighWatermark()
	f.LSO = stable(log, f.HighWatermark)
	if f.Diverging, err = diverging(log, at); f.Diverging != nil || err != nil {
		return f, err
	}
	limit := f.HighWatermark
	if at.Committed {
		limit = f.LSO
	}
	switch {
	case at.Offset < f.Start || at.Offset > log.End():
		return f, fmt.Errorf("offset %d is not in %d..%d: %w", at.Offset, f.Start, log.End(), kerr.OffsetOutOfRange)
	case at.Offset >= limit:
		return f, nil
	}
	f.Plan, err = p.read(log, at.Offset, limit, at.MaxBytes, at.MinOne, false)
	if err != nil || !at.Committed || f.Plan.Bytes == 0 {
		return f, err
	}
	f.Aborted, err = log.AbortedTxns(at.Offset, f.Plan.Next)
	if errors.Is(err, kerr.CorruptMessage) && p.shared() { // alone, it is made again when the log is opened
		p.hurt(err)
		err = errDamaged(err)
	}
	if err != nil {
		f.Plan.Release()
		f.Plan = commitlog.ReadPlan{}
	}
	return f, err
}

// stable is the last stable offset: no transaction that began below it is open, and it is not past hw, the high watermark as it was a
// moment ago.
func stable(log *commitlog.Log, hw kafka.Offset) kafka.Offset {
	if first, open := log.FirstUnstable(); open {
		return min(hw, first)
	}
	return hw
}

// diverging compares the epoch of a client's last record with our log (KIP-595's answer to truncated logs).
func diverging(log *commitlog.Log, at Position) (*EpochEnd, error) {
	if at.LastEpoch == kafka.NoLeaderEpoch {
		return nil, nil
	}
	epoch, end := log.EndOffsetForEpoch(at.LastEpoch)
	if epoch == kafka.NoLeaderEpoch || end == kafka.NoOffset {
		return nil, fmt.Errorf("leader epoch %d is not in the log: %w", at.LastEpoch, kerr.OffsetOutOfRange)
	}
	if epoch < at.LastEpoch || end < at.Offset {
		return &EpochEnd{Epoch: epoch, End: end}, nil
	}
	return nil, nil
}

// Offsets tells the log's start, high watermark, last stable offset and end.
func (p *Partition) Offsets() (start, hw, lso, end kafka.Offset, err error) {
	err = p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, _ *replica.Leader) error {
		start, hw = log.Start(), p.HighWatermark()
		lso, end = stable(log, hw), log.End()
		return nil
	})
	return start, hw, lso, end, err
}

// The offsets that ListOffsets asks for by a negative timestamp.
const (
	LatestOffset        int64 = -1
	EarliestOffset      int64 = -2
	MaxTimestampOffset  int64 = -3
	EarliestLocalOffset int64 = -4
	LatestTieredOffset  int64 = -5
	EarliestPendingTier int64 = -6
)

// Found is the answer to ListOffsets; Offset is -1 when there is no such record.
type Found struct {
	Offset    kafka.Offset
	Timestamp int64
	Epoch     kafka.LeaderEpoch
}

// lookupsAtOnce bounds the memory of lookups by timestamp: each inflates a batch, which may have been a bomb.
const lookupsAtOnce = 2

// OffsetFor answers ListOffsets: the offset of one of the names above, or of the first record at or after a timestamp.
func (p *Partition) OffsetFor(timestamp int64, epoch kafka.LeaderEpoch, committed bool) (Found, error) {
	none := Found{Offset: kafka.NoOffset, Timestamp: kafka.NoTimestamp, Epoch: kafka.NoLeaderEpoch}
	f := none
	if timestamp >= 0 || timestamp == MaxTimestampOffset {
		p.set.lookups <- struct{}{}
		defer func() { <-p.set.lookups }()
	}
	err := p.led(epoch, func(log *commitlog.Log, l *replica.Leader) (err error) {
		limit := p.HighWatermark()
		if committed {
			limit = stable(log, limit)
		}
		var found bool
		switch timestamp {
		case EarliestOffset, EarliestLocalOffset:
			f.Offset, f.Epoch = log.Start(), log.EpochForOffset(log.Start())
			return nil
		case LatestTieredOffset, EarliestPendingTier:
			return nil // nothing is tiered
		case LatestOffset:
			f.Offset, f.Epoch = limit, l.Epoch()
			return p.latestKnown(l)
		case MaxTimestampOffset:
			f.Offset, f.Timestamp, f.Epoch, found, err = log.MaxTimestamp(limit)
		default:
			f.Offset, f.Timestamp, f.Epoch, found, err = log.OffsetForTimestamp(timestamp, limit)
		}
		if errors.Is(err, kerr.CorruptMessage) && p.shared() {
			p.hurt(err)
			return errDamaged(err)
		}
		if err != nil {
			return err
		}
		if !found || f.Offset >= limit {
			f = none
			// What is not below the limit may be soon: only a leader that knows the limit may say "none".
			return p.latestKnown(l)
		}
		return nil
	})
	if err != nil {
		return none, err
	}
	return f, nil
}

func (p *Partition) latestKnown(l *replica.Leader) error {
	if p.set.Lapsed() {
		return errNotLeader
	}
	p.rules.Lock()
	defer p.rules.Unlock()
	return l.LatestKnown()
}

// EndOfEpoch answers OffsetForLeaderEpoch: the largest epoch not above e, and where it ends. The current epoch ends at the
// log's end.
func (p *Partition) EndOfEpoch(current, e kafka.LeaderEpoch) (end EpochEnd, err error) {
	err = p.led(current, func(log *commitlog.Log, _ *replica.Leader) error {
		end.Epoch, end.End = log.EndOffsetForEpoch(e)
		return nil
	})
	return end, err
}

// Producers lists the idempotent and transactional producers known to the log.
func (p *Partition) Producers(now time.Time) (states []producers.State, err error) {
	err = p.led(kafka.NoLeaderEpoch, func(log *commitlog.Log, _ *replica.Leader) error {
		states = log.Producers(now)
		return nil
	})
	return states, err
}

// Disk tells what the partition takes on disk, for DescribeLogDirs. A log that is not open is not opened for that: its files
// are looked at.
func (p *Partition) Disk() (dir string, size int64, err error) {
	p.role.RLock()
	log, path := p.role.log, p.dir().Path()
	p.role.RUnlock()
	if log != nil {
		return path, log.Size(), nil
	}
	size, err = segmentBytes(p.set.FS, filepath.Join(path, p.tp.String()))
	return path, size, err
}

// segmentBytes adds up the log files in a partition's folder; one that is not there yet, or no longer, has none.
func segmentBytes(fsys vfs.FS, folder string) (size int64, err error) {
	entries, err := fsys.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, e := range entries {
		if _, suffix, ok := segment.ParseFileName(e.Name()); !ok || suffix != segment.LogSuffix {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		size += info.Size()
	}
	return size, err
}
