package replica

import "github.com/headrace/headrace/internal/base/kafka"

// EpochEnd is the end of a leader epoch in a log.
type EpochEnd struct {
	Epoch kafka.LeaderEpoch
	End   kafka.Offset
}

// TruncationPoint is where a follower cuts its log off after the leader said that they diverge. leader is the leader's answer: the
// largest epoch it knows that is not above the follower's last, and where that ends in its log. own is what the follower's log
// says of the same epoch (the largest not above it, and its end), NoLeaderEpoch if it knows none; end is the follower's log end.
//
// Records of the same epoch at the same offset are the same, and so is all before them: one epoch has one leader, and a leader
// appends only. From leader.End on, the leader has epochs above the follower's last, so no record there is the same. From own.End
// on, the follower has epochs above leader.Epoch, and the leader has none of those that are not above the follower's last: no
// record there is the same either. Below both they may yet differ, where the follower does not know leader.Epoch; the next fetch,
// which names the follower's last epoch then, tells.
func TruncationPoint(leader, own EpochEnd, end kafka.Offset) kafka.Offset {
	to := min(leader.End, end)
	if own.Epoch != kafka.NoLeaderEpoch {
		to = min(to, own.End)
	}
	return max(to, 0)
}

// Follow is the high watermark of a follower whose log ends at end, after its leader told its own. It does not sink: what was
// committed once stays so, and a new leader may take a while until it knows again how much that is.
func Follow(known, leader, end kafka.Offset) kafka.Offset {
	return max(known, min(leader, end))
}
