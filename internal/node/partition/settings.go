package partition

import (
	"time"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/storage/cleaner"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// settings is what a topic's configuration means to its partitions. It is replaced as a whole, never changed.
type settings struct {
	topic conf.TopicConfig
	log   commitlog.Config
	rules batch.ProduceRules
}

func newSettings(t conf.TopicConfig, producerExpiration time.Duration, verify bool) *settings {
	s := &settings{topic: t}
	s.log = commitlog.Config{
		SegmentBytes: t.Segments.Bytes, SegmentAge: t.Segments.Age, SegmentJitter: t.Segments.Jitter,
		IndexBytes: t.Segments.IndexBytes, IndexIntervalBytes: t.Segments.IndexInterval,
		RetentionBytes: t.Retention.Bytes, RetentionAge: t.Retention.Age,
		Delete: t.Retention.Delete, Compact: t.Retention.Compact,
		Compaction: cleaner.Rules{
			MinLag: t.Compaction.MinLag, MaxLag: t.Compaction.MaxLag, DeleteRetention: t.Compaction.DeleteRetention,
			MinDirtyRatio: t.Compaction.MinDirtyRatio,
		},
		FileDeleteDelay: t.Segments.FileDeleteDelay, ProducerExpiration: producerExpiration, VerifyTransactions: verify,
		Preallocate: t.Segments.Preallocate, MaxMessageBytes: t.Messages.MaxBytes,
	}
	if t.Retention.Compact { // the active segment is never compacted, so it must not be for longer
		s.log.SegmentAge = min(s.log.SegmentAge, t.Compaction.MaxLag)
	}
	m := t.Messages
	s.rules = batch.ProduceRules{
		TimestampType:      batch.TimestampType(m.TimestampType),
		TimestampBeforeMax: m.TimestampBefore,
		TimestampAfterMax:  m.TimestampAfter,
		Compacted:          t.Retention.Compact,
		MaxMessageBytes:    m.MaxBytes,
		TargetLevel:        compress.DefaultLevel,
	}
	// A value that is no codec cannot get into the metadata; were it there, the producer's codec would be kept.
	if target, err := batch.ParseTargetCodec(m.Compression); err == nil {
		s.rules.TargetCodec = target
	}
	switch s.rules.TargetCodec {
	case batch.RecompressTo(compress.Gzip):
		s.rules.TargetLevel = m.GzipLevel
	case batch.RecompressTo(compress.LZ4):
		s.rules.TargetLevel = m.LZ4Level
	case batch.RecompressTo(compress.Zstd):
		s.rules.TargetLevel = m.ZstdLevel
	}
	return s
}
