package commitlog

import (
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/storage/producers"
)

type Log struct{ o OpenOptions }

type ReadPlan struct {
	Slices []Slice
	Bytes  int
	First  kafka.Offset // base offset of the first batch, when there is one
	Next   kafka.Offset // the offset to read next
}

func (p *ReadPlan) Release()                                                           {}
func (p *ReadPlan) ReadAll(dst []byte) ([]byte, error)                                 { return dst, nil }
func Open(o OpenOptions) (*Log, error)                                                 { return &Log{o: o}, o.Config.validate() }
func (l *Log) Start() kafka.Offset                                                     { return 0 }
func (l *Log) End() kafka.Offset                                                       { return 0 }
func (l *Log) Flushed() kafka.Offset                                                   { return 0 }
func (l *Log) TopicID() kafka.TopicID                                                  { return l.o.TopicID }
func (l *Log) Partition() kafka.TopicPartition                                         { return l.o.Partition }
func (l *Log) Size() int64                                                             { return 0 }
func (l *Log) Dir() string                                                             { return l.o.Dir }
func (l *Log) LatestEpoch() kafka.LeaderEpoch                                          { return -1 }
func (l *Log) SegmentCount() int                                                       { return 0 }
func (l *Log) Flush() (kafka.Offset, error)                                            { return 0, nil }
func (l *Log) MarkFlushed(off kafka.Offset)                                            {}
func (l *Log) Dirty() (end kafka.Offset, dirty bool)                                   { return 0, false }
func (l *Log) Fail(err error)                                                          {}
func (l *Log) Failed() error                                                           { return nil }
func (l *Log) AssignEpoch(e kafka.LeaderEpoch) error                                   { return nil }
func (l *Log) TruncateTo(o kafka.Offset) error                                         { return nil }
func (l *Log) TruncateFullyAndStartAt(o kafka.Offset) error                            { return nil }
func (l *Log) AdvanceStart(o kafka.Offset) error                                       { return nil }
func (l *Log) DeleteExpiredFiles(now time.Time)                                        {}
func (l *Log) RollIfDue(now time.Time) error                                           { return nil }
func (l *Log) SetConfig(c Config)                                                      {}
func (l *Log) Close(now time.Time) error                                               { return nil }
func (l *Log) CloseAbrupt()                                                            {}
func (l *Log) Producers(now time.Time) []producers.State                               { return nil }
func (l *Log) FirstUnstable() (kafka.Offset, bool)                                     { return 0, false }
func (l *Log) Replicated(hw kafka.Offset)                                              {}
func (l *Log) EpochForOffset(o kafka.Offset) kafka.LeaderEpoch                         { return -1 }
func (l *Log) EndOffsetForEpoch(e kafka.LeaderEpoch) (kafka.LeaderEpoch, kafka.Offset) { return -1, -1 }
func (l *Log) AbortedTxns(from, to kafka.Offset) ([]AbortedTxn, error)                 { return nil, nil }
func (l *Log) Retain(now time.Time, limit kafka.Offset) (deletedSegments int, err error) {
	return 0, nil
}
func (l *Log) Read(off, limit kafka.Offset, maxBytes int, minOne bool) (ReadPlan, error) {
	return ReadPlan{}, nil
}
func (l *Log) AppendLeader(now time.Time, v batch.Validated, epoch kafka.LeaderEpoch, origin Origin) (Appended, error) {
	return Appended{}, nil
}
func (l *Log) AppendFollower(now time.Time, batches []byte) (Appended, error) { return Appended{}, nil }
func (l *Log) OffsetForTimestamp(ts int64, limit kafka.Offset) (off kafka.Offset, timestamp int64, epoch kafka.LeaderEpoch, found bool, err error) {
	return
}
func (l *Log) MaxTimestamp(limit kafka.Offset) (off kafka.Offset, timestamp int64, epoch kafka.LeaderEpoch, found bool, err error) {
	return
}
