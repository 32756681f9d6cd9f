package history

import (
	"fmt"
	"slices"
	"strings"
)

// The anomalies.
const (
	// LostWrite: a record was acknowledged, records behind it are read in the end, and it is not.
	LostWrite = "lost-write"
	// Unseen: a record was acknowledged and lies behind all that is read in the end.
	Unseen = "unseen"
	// Duplicate: one record at two offsets.
	Duplicate = "duplicate"
	// InconsistentOffsets: two records at one offset.
	InconsistentOffsets = "inconsistent-offsets"
	// PollSkip: a consumer was given a record and then one further behind, and there is one between them.
	PollSkip = "poll-skip"
	// NonmonotonicPoll: a consumer was given a record and then that or an earlier one.
	NonmonotonicPoll = "nonmonotonic-poll"
	// IntPollSkip and IntNonmonotonicPoll are the same within the records of one poll.
	IntPollSkip         = "int-poll-skip"
	IntNonmonotonicPoll = "int-nonmonotonic-poll"
	// NonmonotonicSend: a producer's later record lies before its earlier one, in the same partition.
	NonmonotonicSend = "nonmonotonic-send"
	// Phantom: a consumer was given a record that nobody sent, or sent with other bytes or to another partition.
	Phantom = "phantom"
	// Vanished: a consumer was given a record that is not there in the end. A consumer is given only what cannot be lost.
	Vanished = "vanished"
	// LostCommit: a group went on before an offset whose commit was acknowledged.
	LostCommit = "lost-commit"
	// GroupSkip: no member of a group was given a record, while the group has gone past it.
	GroupSkip = "group-skip"
	// AbortedRead (Jepsen's G1a): a consumer was given a record of a transaction that was aborted.
	AbortedRead = "aborted-read"
	// PrecommittedRead: a consumer was given a record before its commit was asked for.
	PrecommittedRead = "precommitted-read"
	// TornTransaction: in the end a part of a transaction is there.
	TornTransaction = "torn-transaction"
	// ProcessedTwice and NeverProcessed: a record has two copies, or none, made in transactions with the offsets read.
	ProcessedTwice = "processed-twice"
	NeverProcessed = "never-processed"
)

// Anomaly is one kind of what must not be: how often, and the first few in words.
type Anomaly struct {
	Kind     string   `json:"kind"`
	Count    int      `json:"count"`
	Examples []string `json:"examples"`
}

const maxExamples = 5

// Verdict is what Check found, by kind.
type Verdict map[string]*Anomaly

func (v Verdict) add(kind, format string, args ...any) {
	a := v[kind]
	if a == nil {
		a = &Anomaly{Kind: kind}
		v[kind] = a
	}
	a.Count++
	if len(a.Examples) < maxExamples {
		a.Examples = append(a.Examples, fmt.Sprintf(format, args...))
	}
}

// List is the anomalies in the order of their names.
func (v Verdict) List() []Anomaly {
	var list []Anomaly
	for _, a := range v {
		list = append(list, *a)
	}
	slices.SortFunc(list, func(a, b Anomaly) int { return strings.Compare(a.Kind, b.Kind) })
	return list
}

// Add notes an anomaly of a kind of the caller's own.
func (v Verdict) Add(kind, text string) { v.add(kind, "%s", text) }
