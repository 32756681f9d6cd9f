package segment

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// Segment is a run of batches in one file. It is not safe for concurrent use: its owner's lock guards all but the Views
// and the Unsynced that it hands out.
type Segment struct {
	fs     vfs.FS
	dir    string
	base   kafka.Offset
	suffix string // of all file names; empty but while compaction writes the segment

	size    int64        // bytes of whole batches in the file
	next    kafka.Offset // offset after the last batch, or, of a segment not loaded, the next segment's base
	files   *Files       // nil while nothing holds the files open
	offsets table
	times   table
	loaded  bool // the fields below, and the tables, are known

	maxTimestamp       int64 // NoTimestamp while no batch has one
	maxTimestampOffset kafka.Offset
	lastTimeEntry      int64 // timestamp of the newest entry of times
	sinceIndexed       int   // bytes since the batch that the newest entry of offsets is about
	firstTimestamp     int64 // largest of the first batch, for rolling by age
	firstKnown         bool
	created            time.Time
	jitter             time.Duration // by which the segment rolls earlier than its age says
	txnDirty           bool
	noTxnIndex         bool         // it was looked for, and there is none: most segments have none, and each fetch of committed records asks
	txns               []AbortedTxn // not in the transaction index yet: there was no room
}

// Create makes the files of an empty segment. Whatever had their names is emptied. They are durable after a SyncDir.
func Create(fsys vfs.FS, dir string, base kafka.Offset, now time.Time, jitter time.Duration) (*Segment, error) {
	s := Unmade(fsys, dir, base, now, jitter)
	return s, s.Make()
}

// Unmade is an empty segment whose files are not there yet. Nothing that opens them may be called before Make.
func Unmade(fsys vfs.FS, dir string, base kafka.Offset, now time.Time, jitter time.Duration) *Segment {
	s := Existing(fsys, dir, base, 0, base, now, jitter)
	s.loaded = true
	return s
}

// Make makes the files as Create does. After an error it may be called again.
func (s *Segment) Make() error {
	for _, suffix := range []string{IndexSuffix, TimeIndexSuffix} {
		f, err := s.fs.OpenFile(s.path(suffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	if err := RemoveIfThere(s.fs, s.path(TxnIndexSuffix)); err != nil {
		return err
	}
	var err error
	s.files, err = openFiles(s.fs, s.dir, s.base, s.suffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	return err
}

// Existing stands for files that are there; nothing is opened or read. next is the base of the segment after it, or
// NoOffset for the last, which must then be loaded by Tail or Recover before anything else.
func Existing(fsys vfs.FS, dir string, base kafka.Offset, size int64, next kafka.Offset, now time.Time, jitter time.Duration) *Segment {
	return &Segment{fs: fsys, dir: dir, base: base, size: size, next: next, created: now, jitter: jitter,
		offsets: table{width: offsetWidth}, times: table{width: timeWidth},
		maxTimestamp: kafka.NoTimestamp, maxTimestampOffset: base, lastTimeEntry: kafka.NoTimestamp}
}

// Base is the offset that the segment is named for.
func (s *Segment) Base() kafka.Offset { return s.base }

// Next is the offset after the last batch.
func (s *Segment) Next() kafka.Offset { return s.next }

// SetNext tells a segment that is not loaded where the one after it begins.
func (s *Segment) SetNext(next kafka.Offset) { s.next = next }

// Size is the length of the log file in whole batches.
func (s *Segment) Size() int64 { return s.size }

// open makes sure that the segment itself holds its files.
func (s *Segment) open() error {
	if s.files != nil {
		return nil
	}
	var err error
	s.files, err = openFiles(s.fs, s.dir, s.base, s.suffix, os.O_RDWR)
	return err
}

// Idle lets go of the files; Views that hold them keep them open. The next use opens them again.
func (s *Segment) Idle() {
	if s.files != nil {
		s.files.Release()
		s.files = nil
	}
}

// Hold gives the files to one more holder, who must Release them, or nil when they are not open.
func (s *Segment) Hold() *Files {
	if s.files != nil {
		s.files.Retain()
	}
	return s.files
}

// Write puts whole batches at the end of the file, in one write, without telling anyone: after an error the segment is as
// it was, whatever the file has beyond its end. Added makes them part of the segment.
func (s *Segment) Write(b []byte) error {
	if err := s.open(); err != nil {
		return err
	}
	n, err := s.files.Log.WriteAt(b, s.size)
	if err == nil && n < len(b) {
		err = fmt.Errorf("%s: %d of %d bytes written", s.files.Log.Name(), n, len(b))
	}
	return err
}

// CutBack takes away what a Write that failed left beyond the segment's end.
func (s *Segment) CutBack() error {
	if s.files == nil {
		return nil // it was not even opened
	}
	return s.files.Log.Truncate(s.size)
}

// Added makes the batch with header h, which Write put next in the file, part of the segment. An index entry is due when
// more than interval bytes went by since the last, as in Kafka. The error is one of writing an index file; one without room
// is none, since its entries stay in memory until there is.
func (s *Segment) Added(h batch.Header, interval int) error {
	s.account(h, s.size, interval)
	s.size += int64(h.Size())
	s.next = h.NextOffset()
	if s.offsets.count-s.offsets.written < tailEntries {
		return nil
	}
	return roomless(s.writeIndexes())
}

// roomless forgives that there was no room for what can be written later, or made again.
func roomless(err error) error {
	if vfs.Refused(err) {
		return nil
	}
	return err
}

// account updates timestamps and indexes for the batch at pos.
func (s *Segment) account(h batch.Header, pos int64, interval int) {
	if !s.firstKnown && pos == 0 {
		s.firstTimestamp, s.firstKnown = h.MaxTimestamp, true
	}
	if h.MaxTimestamp > s.maxTimestamp {
		s.maxTimestamp, s.maxTimestampOffset = h.MaxTimestamp, h.LastOffset()
	}
	if s.sinceIndexed > interval {
		e := putOffsetEntry(int32(h.LastOffset()-s.base), int32(pos))
		s.offsets.append(e[:])
		s.indexTime()
		s.sinceIndexed = 0
	}
	s.sinceIndexed += h.Size()
}

// indexTime adds an entry to the time index if the largest timestamp grew since the last.
func (s *Segment) indexTime() {
	if s.maxTimestamp <= s.lastTimeEntry {
		return
	}
	e := putTimeEntry(s.maxTimestamp, int32(s.maxTimestampOffset-s.base))
	s.times.append(e[:])
	s.lastTimeEntry = s.maxTimestamp
}

// writeIndexes puts the entries that are in memory alone into the files, the times first: the largest timestamp up to the
// last entry of the offset index must be known.
func (s *Segment) writeIndexes() error {
	if err := s.writeTable(&s.times, TimeIndexSuffix); err != nil {
		return err
	}
	return s.writeTable(&s.offsets, IndexSuffix)
}

// writeTable opens the file only for this: it is done once in hundreds of appends, and a partition that is written to
// should cost one open file, not three.
func (s *Segment) writeTable(t *table, suffix string) error {
	if t.written == t.count {
		return nil
	}
	f, err := s.fs.OpenFile(s.path(suffix), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	err = t.write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Seal completes the indexes of a segment that nothing will be appended to for now: the largest timestamp gets the last
// entry of the time index, and all entries are written.
func (s *Segment) Seal() error {
	if !s.loaded {
		return nil
	}
	s.indexTime()
	return s.writeIndexes()
}

// Complete writes what waits in memory because there was no room for it, or, of a sealed segment, whatever may: what is
// flushed is taken as it is at the next start.
func (s *Segment) Complete(sealed bool) error {
	if sealed {
		if err := s.Seal(); err != nil {
			return err
		}
	}
	return s.writeTxns()
}

// Roll says what a batch that is to be appended needs, and when a segment is full.
type Roll struct {
	Now          time.Time
	MaxTimestamp int64 // of what is to be appended
	LastOffset   kafka.Offset
	Bytes        int64
	SegmentBytes int64
	SegmentAge   time.Duration
	IndexBytes   int
}

// ShouldRoll tells whether the batch belongs in a new segment: this one would grow too large, is too old by the
// timestamps of its first batch and of the new one (by the clock if they have none), has a full index, or could not
// express the batch's offset.
func (s *Segment) ShouldRoll(r Roll) (bool, error) {
	if s.size > r.SegmentBytes-r.Bytes || r.LastOffset-s.base > math.MaxInt32 {
		return true, nil
	}
	if s.offsets.count >= r.IndexBytes/offsetWidth || s.times.count >= r.IndexBytes/timeWidth-1 {
		return true, nil
	}
	if s.size == 0 {
		return false, nil
	}
	if err := s.learnFirst(); err != nil {
		return false, err
	}
	waited := r.Now.Sub(s.created)
	if s.firstTimestamp >= 0 {
		waited = clampMs(r.MaxTimestamp - s.firstTimestamp)
	}
	return waited > r.SegmentAge-s.jitter, nil
}

func clampMs(ms int64) time.Duration {
	if ms > int64(math.MaxInt64/time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(max(ms, 0)) * time.Millisecond
}

func (s *Segment) learnFirst() error {
	if s.firstKnown || s.size == 0 {
		return nil
	}
	h, err := s.First()
	if err != nil {
		return err
	}
	s.firstTimestamp, s.firstKnown = h.MaxTimestamp, true
	return nil
}

// First reads the header of the first batch.
func (s *Segment) First() (batch.Header, error) {
	if err := s.open(); err != nil {
		return batch.Header{}, err
	}
	b := s.files.borrow()
	defer s.files.giveBack(b)
	h, err := newWalker(s.files.Log, s.size, b).header(0)
	if err != nil {
		return h, fmt.Errorf("first batch of %s: %w", s.files.Log.Name(), err)
	}
	return h, nil
}

// LargestTimestamp is the largest of the records, or, when none has one, when the file was last changed.
func (s *Segment) LargestTimestamp() (int64, error) {
	if err := s.load(); err != nil {
		return 0, err
	}
	if s.maxTimestamp >= 0 {
		return s.maxTimestamp, nil
	}
	return s.changedAt()
}

// RecordTimestamp is the largest timestamp of the records, or NoTimestamp.
func (s *Segment) RecordTimestamp() (int64, error) {
	err := s.load()
	return s.maxTimestamp, err
}

func (s *Segment) changedAt() (int64, error) {
	info, err := s.fs.Stat(s.path(LogSuffix))
	if err != nil {
		return 0, err
	}
	return info.ModTime().UnixMilli(), nil
}

// suffixes are the files of a segment, the log first: without it the others mean nothing.
func suffixes() []string {
	return []string{LogSuffix, IndexSuffix, TimeIndexSuffix, TxnIndexSuffix, SnapshotSuffix}
}

// MarkDeleted renames the files out of the way, the producer snapshot at the segment's base among them, and returns the
// new names. The log goes first, durably: it must not be back after a power cut without the others, nor between segments
// deleted later. Views stay usable.
func (s *Segment) MarkDeleted() (names []string, err error) {
	for _, suffix := range suffixes() {
		old := s.path(suffix)
		err := s.fs.Rename(old, old+DeletedSuffix)
		switch {
		case vfs.Refused(err): // a longer name may need room in the folder, where room is what deleting is for
			if err := RemoveIfThere(s.fs, old); err != nil {
				return names, err
			}
		case isNotExist(err):
			continue
		case err != nil:
			return names, err
		default:
			names = append(names, old+DeletedSuffix)
		}
		if suffix != LogSuffix {
			continue
		}
		if err := s.fs.SyncDir(s.dir); err != nil {
			return names, err
		}
	}
	s.Idle()
	return names, nil
}

// Remove deletes the files at once.
func (s *Segment) Remove() error {
	s.Idle()
	return RemoveFiles(s.fs, s.dir, s.base)
}

// RemoveFiles deletes what there is of a segment's files.
func RemoveFiles(fsys vfs.FS, dir string, base kafka.Offset) error {
	for _, suffix := range suffixes() {
		if err := RemoveIfThere(fsys, filepath.Join(dir, FileName(base, suffix))); err != nil {
			return err
		}
	}
	return nil
}

// RemoveIfThere removes a file, if there is one.
func RemoveIfThere(fsys vfs.FS, path string) error {
	if err := fsys.Remove(path); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// info returns nil when there is no such file.
func statIfThere(fsys vfs.FS, path string) (fs.FileInfo, error) {
	info, err := fsys.Stat(path)
	if isNotExist(err) {
		return nil, nil
	}
	return info, err
}
