package load

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// acknowledged fills in which partitions of a commit were acknowledged, and an error if there was one.
func acknowledged(into map[int32]bool, failed *error) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil || resp == nil {
			*failed = err
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				into[p.Partition] = p.ErrorCode == 0
				if p.ErrorCode != 0 {
					*failed = kerr.ErrorForCode(p.ErrorCode)
				}
			}
		}
	}
}

// containsCRC tells whether the client refused a batch for its checksum; the library has no type for that.
func containsCRC(err error) bool { return strings.Contains(err.Error(), "crc") }
