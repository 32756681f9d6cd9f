package group

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var errUnsupported = fmt.Errorf("not a request of the group coordinator: %w", kerr.UnsupportedVersion)

// code is the protocol's number for err.
func code(err error) int16 {
	if err == nil {
		return 0
	}
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Code
	}
	return kerr.UnknownServerError.Code
}

// ErrorResponse is the answer to req when it fails as a whole with err, in the shape that its version has for that.
func ErrorResponse(req kmsg.Request, version int16, err error) kmsg.Response {
	resp := errorResponse(req, version, err)
	resp.SetVersion(version)
	return resp
}

func errorResponse(req kmsg.Request, version int16, err error) kmsg.Response {
	switch req := req.(type) {
	case *kmsg.JoinGroupRequest:
		return joinError("", err)
	case *kmsg.SyncGroupRequest:
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.ErrorCode = code(err)
		return resp
	case *kmsg.HeartbeatRequest:
		return heartbeatResponse(err)
	case *kmsg.LeaveGroupRequest:
		resp := kmsg.NewPtrLeaveGroupResponse()
		resp.ErrorCode = code(err)
		return resp
	case *kmsg.ConsumerGroupHeartbeatRequest:
		return consumerError(err)
	case *kmsg.ConsumerGroupDescribeRequest:
		return consumerDescribeError(req, err)
	case *kmsg.ShareGroupHeartbeatRequest:
		return shareError(err)
	case *kmsg.ShareGroupDescribeRequest:
		return shareDescribeError(req, err)
	case *kmsg.StreamsGroupHeartbeatRequest:
		return streamsError(err)
	case *kmsg.StreamsGroupDescribeRequest:
		return streamsDescribeError(req, err)
	case *kmsg.OffsetCommitRequest:
		return commitError(req, err)
	case *kmsg.TxnOffsetCommitRequest:
		return txnCommitError(req, err)
	case *kmsg.OffsetFetchRequest:
		return fetchError(req, version, err)
	case *kmsg.OffsetDeleteRequest:
		resp := kmsg.NewPtrOffsetDeleteResponse()
		resp.ErrorCode = code(err)
		return resp
	case *kmsg.DescribeGroupsRequest:
		return describeError(req, err)
	case *kmsg.DeleteGroupsRequest:
		return deleteError(req, err)
	case *kmsg.ListGroupsRequest:
		resp := kmsg.NewPtrListGroupsResponse()
		resp.ErrorCode = code(err)
		return resp
	}
	return req.ResponseKind()
}

// Refuse is the answer to a request that was not stepped on, or whose records are not committed, for the reason err. Clients of a
// coordinator that loads keep their sessions; OffsetFetch clients know no better error for one that cannot commit, and those that send
// the first versions of TxnOffsetCommit break on one that loads.
func Refuse(req kmsg.Request, version int16, err error) kmsg.Response {
	loads := errors.Is(err, kerr.CoordinatorLoadInProgress)
	if !loads {
		err = appendError(err)
	}
	switch req.(type) {
	case *kmsg.HeartbeatRequest:
		if loads {
			err = nil
		}
	case *kmsg.OffsetFetchRequest:
		if errors.Is(err, kerr.CoordinatorNotAvailable) {
			err = kerr.NotCoordinator
		}
	case *kmsg.TxnOffsetCommitRequest:
		if errors.Is(err, kerr.CoordinatorLoadInProgress) && version < txnCommitKnowsLoading {
			err = kerr.CoordinatorNotAvailable
		}
	}
	return ErrorResponse(req, version, err)
}

// ofProducers are the errors about a producer or its transaction, which it is told as they are.
var ofProducers = []*kerr.Error{
	kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.InvalidProducerIDMapping, kerr.InvalidTxnState, kerr.ConcurrentTransactions,
	kerr.TransactionAbortable, kerr.TransactionalIDAuthorizationFailed,
}

// appendError is what members are told when the records of their group could not be written or committed in time. A transaction that
// could not be verified, as its coordinator was out of reach, is tried again without looking for another group coordinator.
func appendError(err error) error {
	for _, is := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.NotCoordinator} {
		if errors.Is(err, is) {
			return kerr.NotCoordinator
		}
	}
	for _, is := range []*kerr.Error{kerr.MessageTooLarge, kerr.RecordListTooLarge} {
		if errors.Is(err, is) {
			return kerr.UnknownServerError
		}
	}
	for _, is := range ofProducers {
		if errors.Is(err, is) {
			return is
		}
	}
	if errors.Is(err, kerr.NetworkException) {
		return kerr.CoordinatorLoadInProgress
	}
	return kerr.CoordinatorNotAvailable
}

// maxString is the longest string of the record formats.
const maxString = 1<<15 - 1

// checkGroupID refuses what no group can be called. Requests about offsets also allow the empty id, as Kafka does.
func checkGroupID(id string, allowEmpty bool) error {
	if id == "" && !allowEmpty || len(id) > maxString {
		return fmt.Errorf("group id of %d bytes: %w", len(id), kerr.InvalidGroupID)
	}
	return nil
}
