package replication

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/partition"
)

var sessionSettings = conf.ReplicasConfig{FetchMaxBytes: 100, FetchMinBytes: 1, ResponseBytes: 1000}

// shown is what a request says: "id/epoch", then "topic-partition@offset" for what it names, and "-topic-partition" for what it forgets.
func shown(r *kmsg.FetchRequest) string {
	s := []string{fmt.Sprintf("%d/%d", r.SessionID, r.SessionEpoch)}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			s = append(s, fmt.Sprintf("%c-%d@%d", t.TopicID[0], p.Partition, p.FetchOffset))
		}
	}
	for _, t := range r.ForgottenTopics {
		for _, p := range t.Partitions {
			s = append(s, fmt.Sprintf("-%c-%d", t.TopicID[0], p))
		}
	}
	slices.Sort(s[1:])
	return strings.Join(s, " ")
}

type sessionWorld struct {
	t *testing.T
	s *session
}

func (w *sessionWorld) put(name string, offset kafka.Offset) {
	k := key{kafka.TopicID{name[0]}, int32(name[1] - '0')}
	f := w.s.parts[k]
	if f == nil {
		f = &followed{key: k}
	}
	f.at = partition.FetchState{Offset: offset}
	w.s.put(f)
}

func (w *sessionWorld) drop(name string) { w.s.drop(key{kafka.TopicID{name[0]}, int32(name[1] - '0')}) }

func (w *sessionWorld) asks(want string) {
	w.t.Helper()
	if got := shown(w.s.request(1, 0, sessionSettings)); got != want {
		w.t.Fatalf("request %q, want %q", got, want)
	}
}

func (w *sessionWorld) answered(id int32, err *kerr.Error) {
	w.t.Helper()
	r := kmsg.NewFetchResponse()
	r.SessionID = id
	if err != nil {
		r.ErrorCode = err.Code
	}
	if got := w.s.answered(&r); (got == nil) != (err == nil) {
		w.t.Fatalf("%v, want %v", got, err)
	}
}

func TestSessionNamesWhatChanged(t *testing.T) {
	w := &sessionWorld{t, newSession(2)}
	w.put("a0", 0)
	w.put("b0", 5)
	w.put("a1", 0)
	w.asks("0/0 a-0@0 a-1@0 b-0@5")
	w.answered(7, nil)
	w.asks("7/1")
	w.answered(7, nil)
	w.put("a1", 3)
	w.put("a1", 4)
	w.asks("7/2 a-1@4")
	w.answered(7, nil)

	w.drop("b0")
	w.drop("a0")
	w.put("a0", 9) // dropped and back: the leader must not forget it
	w.put("c0", 1)
	w.drop("c0") // the leader never heard of it
	w.asks("7/3 -b-0 a-0@9")
	w.answered(7, nil)
	f := w.s.parts[key{kafka.TopicID{'a'}, 1}]
	w.drop("a1")
	w.drop("a1")
	w.s.put(f)
	w.drop("a1")
	w.asks("7/4 -a-1")
	w.answered(7, nil)
	w.asks("7/5")
}

func TestSessionBeginsAnew(t *testing.T) {
	w := &sessionWorld{t, newSession(2)}
	w.put("a0", 0)
	w.put("a1", 0)
	w.asks("0/0 a-0@0 a-1@0")
	w.answered(0, nil) // the leader keeps no session
	w.asks("0/0 a-0@0 a-1@0")
	w.answered(7, nil)
	w.drop("a1")
	w.asks("7/1 -a-1")
	w.answered(0, kerr.FetchSessionIDNotFound)
	w.put("a2", 0)
	w.asks("0/0 a-0@0 a-2@0")
	w.answered(8, nil)
	w.drop("a2")
	w.s.lost(w.s.id) // the connection broke: the leader may have it still
	w.drop("a0")
	w.put("a3", 0)
	w.asks("8/0 a-3@0")
	w.answered(9, nil)
	w.asks("9/1")
	w.answered(9, kerr.InvalidFetchSessionEpoch)
	w.asks("9/0 a-3@0")
}

func TestSessionEpochWraps(t *testing.T) {
	w := &sessionWorld{t, newSession(2)}
	w.put("a0", 0)
	w.asks("0/0 a-0@0")
	w.answered(7, nil)
	w.s.epoch = 1<<31 - 1
	w.asks("7/2147483647")
	w.answered(7, nil)
	w.asks("7/1")
}

func TestRequestAllocatesNothing(t *testing.T) {
	w := &sessionWorld{t, newSession(2)}
	var all []*followed
	for i := range 300 {
		f := &followed{key: key{kafka.TopicID{byte(i / 10)}, int32(i)}}
		all = append(all, f)
		w.s.put(f)
	}
	w.s.request(1, 0, sessionSettings)
	w.answered(7, nil)
	resp := kmsg.NewFetchResponse()
	resp.SessionID = 7
	allocs := testing.AllocsPerRun(100, func() {
		for _, f := range all {
			f.at.Offset++
			w.s.put(f)
		}
		w.s.request(1, 0, sessionSettings)
		_ = w.s.answered(&resp)
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}
