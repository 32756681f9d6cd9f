package load

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// acknowledged fills in which partitions of a commit were acknowledged.
func acknowledged(into map[int32]bool) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil || resp == nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				into[p.Partition] = p.ErrorCode == 0
			}
		}
	}
}

// containsCRC tells whether the client refused a batch for its checksum; the library has no type for that.
func containsCRC(err error) bool { return strings.Contains(err.Error(), "crc") }
