package share

import (
	"cmp"
	"slices"

	"github.com/headrace/headrace/internal/base/kafka"
)

// LogBatch is what Acquire has to know of a record batch that was read.
type LogBatch struct {
	First, Last   kafka.Offset
	Producer      kafka.ProducerID
	Transactional bool
	AbortMarker   bool // a control batch that aborts the producer's transaction
}

// AbortedTransaction is a transaction that was aborted, by where it began.
type AbortedTransaction struct {
	Producer kafka.ProducerID
	First    kafka.Offset
}

// abortedBatches finds the batches that belong to aborted transactions.
func abortedBatches(log []LogBatch, aborted []AbortedTransaction) []LogBatch {
	if len(aborted) == 0 {
		return nil
	}
	byFirst := slices.SortedFunc(slices.Values(aborted), func(a, b AbortedTransaction) int { return cmp.Compare(a.First, b.First) })
	open := make(map[kafka.ProducerID]bool)
	var found []LogBatch
	for _, b := range log {
		for len(byFirst) > 0 && byFirst[0].First <= b.Last {
			open[byFirst[0].Producer] = true
			byFirst = byFirst[1:]
		}
		switch {
		case b.AbortMarker:
			delete(open, b.Producer)
		case b.Transactional && open[b.Producer]:
			found = append(found, b)
		}
	}
	return found
}
