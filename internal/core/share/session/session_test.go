package session

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

var member = Key{Group: "g", Member: "m"}

func parts(ns ...int32) []Partition {
	var all []Partition
	for _, n := range ns {
		all = append(all, Partition{Topic: kafka.TopicID{1}, Index: n})
	}
	return all
}

// request is a ShareFetch, with or without acknowledgements, or a ShareAcknowledge, and what Apache Kafka answers.
type request struct {
	epoch       int32
	acknowledge bool // a ShareAcknowledge
	acks        bool
	answer      *kerr.Error
}

var requests = []request{
	{epoch: 1, answer: kerr.ShareSessionNotFound},
	{epoch: Close, answer: kerr.ShareSessionNotFound},
	{epoch: 1, acknowledge: true, answer: kerr.ShareSessionNotFound},
	{epoch: Close, acknowledge: true, answer: kerr.ShareSessionNotFound},
	{epoch: Open, acknowledge: true, answer: kerr.InvalidShareSessionEpoch},
	{epoch: Open, acks: true, answer: kerr.InvalidRequest},
	{epoch: Open},
	{epoch: 2, answer: kerr.InvalidShareSessionEpoch},
	{epoch: 1},
	{epoch: 1, answer: kerr.InvalidShareSessionEpoch},
	{epoch: 1, acknowledge: true, answer: kerr.InvalidShareSessionEpoch},
	{epoch: 2, acknowledge: true},
	{epoch: 3, acks: true},
	{epoch: -2, answer: kerr.InvalidShareSessionEpoch},
	{epoch: Open}, // begins anew
	{epoch: 4, answer: kerr.InvalidShareSessionEpoch},
	{epoch: 1},
	{epoch: Close, acknowledge: true},
	{epoch: Close, answer: kerr.ShareSessionNotFound},
	{epoch: Open},
	{epoch: Close, acks: true},
	{epoch: 1, answer: kerr.ShareSessionNotFound},
}

func TestTheOrderOfRequestsIsKept(t *testing.T) {
	s := New(10)
	for i, r := range requests {
		var err error
		if r.acknowledge {
			err = s.Acknowledge(member, r.epoch)
		} else {
			_, err = s.Fetch(1, member, r.epoch, parts(0), nil, r.acks)
		}
		if err == nil && r.epoch == Close {
			if had := s.End(member); len(had) != 1 {
				t.Errorf("request %d ends a session with %v", i, had)
			}
		}
		if r.answer == nil && err != nil || r.answer != nil && !errors.Is(err, r.answer) {
			t.Errorf("request %d: %v, want %v", i, err, r.answer)
		}
	}
}

func TestEpochsBeginAgainAtTheEnd(t *testing.T) {
	s := New(1)
	s.Fetch(1, member, Open, nil, nil, false)
	s.all[member].epoch = math.MaxInt32
	if err := s.Acknowledge(member, math.MaxInt32); err != nil {
		t.Error(err)
	}
	if err := s.Acknowledge(member, 1); err != nil {
		t.Error(err)
	}
}

func TestASessionLivesUntilItIsEnded(t *testing.T) {
	s := New(1)
	s.Fetch(1, member, Open, parts(0), nil, false)
	for _, err := range []error{s.Acknowledge(member, Close), s.Acknowledge(member, Close), s.Acknowledge(member, 1)} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestASessionRemembersItsPartitions(t *testing.T) {
	s := New(10)
	for i, c := range []struct{ add, forget, want []Partition }{
		{parts(0, 1, 1), nil, parts(0, 1)},
		{parts(1, 2), nil, parts(1, 2, 0)}, // by turns another one is first
		{nil, nil, parts(2, 0, 1)},
		{nil, parts(1, 7), parts(2, 0)},
		{parts(1), parts(1), parts(0, 2)},
		{nil, parts(0, 2), nil},
	} {
		got, err := s.Fetch(1, member, int32(i), c.add, c.forget, false)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("request %d fetches %v, want %v, %v", i, got, c.want, err)
		}
	}
	if tell := s.all[member].tell; len(tell) != 0 {
		t.Errorf("%v are forgotten and to be told", tell)
	}
}

func TestAnswersTellWhatIsNew(t *testing.T) {
	s := New(10)
	s.Fetch(1, member, Open, parts(0, 1), nil, false)
	s.Fetch(1, member, 1, parts(2), nil, false)
	p := parts(0, 1, 2)
	for i, c := range []struct {
		p               Partition
		records, failed bool
		want            bool
	}{
		{p[0], false, false, false},
		{p[1], true, false, true},
		{p[2], false, false, true}, // for the first time
		{p[2], false, false, false},
		{p[0], false, true, true},
		{p[0], false, false, true}, // the error is over
		{p[0], false, false, false},
		{Partition{Index: 9}, false, false, true}, // of no session
	} {
		if got := s.Tells(member, c.p, c.records, c.failed); got != c.want {
			t.Errorf("%d: told is %v", i, got)
		}
	}
	if got := s.Partitions(member); !reflect.DeepEqual(got, parts(0, 2, 1)) {
		t.Errorf("in turn are %v: what brought records comes last", got)
	}
}

func TestSessionsEndWithTheirConnection(t *testing.T) {
	s := New(3)
	a, b := Key{"g", "a"}, Key{"g", "b"}
	s.Fetch(1, a, Open, parts(0), nil, false)
	s.Fetch(1, b, Open, parts(0), nil, false)
	s.Fetch(2, a, Open, parts(0, 1), nil, false) // on another connection
	if got := s.Disconnected(1); !reflect.DeepEqual(got, []Key{b}) {
		t.Errorf("ended are %v", got)
	}
	s.End(b)
	if got := s.Disconnected(1); got != nil || len(s.byConn) != 1 {
		t.Errorf("left are %v", s.byConn)
	}
	if got := s.Partitions(a); len(got) != 2 {
		t.Errorf("it has %v", got)
	}
}

func TestThereAreOnlySoManySessions(t *testing.T) {
	s := New(1)
	if _, err := s.Fetch(1, member, Open, nil, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(2, Key{"g", "other"}, Open, nil, nil, false); !errors.Is(err, kerr.ShareSessionLimitReached) {
		t.Error(err)
	}
	if _, err := s.Fetch(3, member, Open, nil, nil, false); err != nil {
		t.Error("a session that begins anew needs no more room:", err)
	}
}
