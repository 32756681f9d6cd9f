package group

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a producer is told of the group coordinator's trouble with its transaction, in each version.
func TestProducersAreToldOfTheirTransactions(t *testing.T) {
	for _, row := range []struct {
		is, old, newer *kerr.Error
	}{
		{kerr.InvalidProducerEpoch, kerr.InvalidProducerEpoch, kerr.InvalidProducerEpoch},
		{kerr.InvalidTxnState, kerr.InvalidTxnState, kerr.InvalidTxnState},
		{kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping},
		{kerr.ConcurrentTransactions, kerr.ConcurrentTransactions, kerr.ConcurrentTransactions},
		{kerr.TransactionAbortable, kerr.TransactionAbortable, kerr.TransactionAbortable},
		{kerr.NetworkException, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress},
		{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress},
		{kerr.NotEnoughReplicas, kerr.CoordinatorNotAvailable, kerr.CoordinatorNotAvailable},
		{kerr.RequestTimedOut, kerr.CoordinatorNotAvailable, kerr.CoordinatorNotAvailable},
		{kerr.NotLeaderForPartition, kerr.NotCoordinator, kerr.NotCoordinator},
		{kerr.KafkaStorageError, kerr.NotCoordinator, kerr.NotCoordinator},
		{kerr.MessageTooLarge, kerr.UnknownServerError, kerr.UnknownServerError},
	} {
		for version, want := range map[int16]*kerr.Error{1: row.old, 2: row.newer, 5: row.newer} {
			req := kmsg.NewPtrTxnOffsetCommitRequest()
			req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 3}}}}
			resp := Refuse(req, version, fmt.Errorf("append: %w", row.is)).(*kmsg.TxnOffsetCommitResponse)
			p := resp.Topics[0].Partitions[0]
			if resp.Version != version || p.Partition != 3 || p.ErrorCode != want.Code {
				t.Errorf("v%d: %v becomes %v, want %v", version, row.is.Message, kerr.ErrorForCode(p.ErrorCode), want.Message)
			}
		}
	}
}
