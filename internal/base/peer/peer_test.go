package peer

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// message is what requests and responses have in common.
type message interface {
	SetVersion(int16)
	GetVersion() int16
	IsFlexible() bool
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
}

var (
	_ = []kmsg.Request{&HelloRequest{}, &RaftRequest{}, &SubmitRequest{}, &JoinRequest{}}
	_ = []kmsg.Response{&HelloResponse{}, &SubmitResponse{}, &JoinResponse{}}
)

var members = []Member{{ID: 1, Host: "one.example", Port: 9092, Voter: true}, {ID: 2, Host: "::1", Port: 65535}}

// examples has each message with every field set, and each with none.
func examples() map[string]struct{ full, empty message } {
	return map[string]struct{ full, empty message }{
		"hello": {&HelloRequest{ClusterID: "cluster", NodeID: 3, Incarnation: [16]byte{1, 15: 2}, Oldest: 1, Newest: 7}, &HelloRequest{}},
		"hello answer": {&HelloResponse{ErrorCode: 104, ErrorMessage: "two clusters", ClusterID: "cluster", NodeID: 3,
			Incarnation: [16]byte{9}, Version: 2, Leader: -1, Members: members}, &HelloResponse{}},
		"raft": {&RaftRequest{From: 2, Messages: [][]byte{[]byte("vote"), bytes.Repeat([]byte("x"), 70000), {0}}}, &RaftRequest{}},
		"submit": {&SubmitRequest{TimeoutMs: 30000, RequestKey: 19, Version: 7, Body: []byte("topics"), Listener: "EXTERNAL"},
			&SubmitRequest{Body: []byte{}}},
		"submit answer": {&SubmitResponse{ErrorCode: 41, ErrorMessage: "not I", Leader: 3, Offset: math.MaxInt64, Body: []byte("ok")},
			&SubmitResponse{Body: []byte{}}},
		"join": {&JoinRequest{ClusterID: "cluster", NodeID: 4, DirectoryIDs: [][16]byte{{1}, {2}}, Incarnation: [16]byte{3},
			Host: "four.example", Port: 9094, Fresh: true}, &JoinRequest{}},
		"join answer": {&JoinResponse{ErrorCode: 41, ErrorMessage: "ask 1", ClusterID: "cluster", Leader: 1, Members: members}, &JoinResponse{}},
	}
}

// blank makes an empty message of the type of m.
func blank(m message) message {
	switch m := m.(type) {
	case kmsg.Request:
		return NewRequest(m.Key())
	case kmsg.Response:
		return m.RequestKind().ResponseKind()
	}
	panic("neither a request nor a response")
}

func same(a, b message) string {
	return cmp.Diff(a, b, cmp.AllowUnexported(HelloRequest{}, HelloResponse{}, RaftRequest{}, SubmitRequest{}, SubmitResponse{},
		JoinRequest{}, JoinResponse{}, versioned{}))
}

func TestMessagesReadWhatTheyWrote(t *testing.T) {
	for name, e := range examples() {
		for _, m := range []message{e.full, e.empty} {
			wire := m.AppendTo([]byte("before"))
			got := blank(m)
			if err := got.ReadFrom(wire[len("before"):]); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if diff := same(m, got); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
		}
	}
}

// A message that was used before keeps nothing of what it was.
func TestReadingBeginsAnew(t *testing.T) {
	for name, e := range examples() {
		used := blank(e.full)
		if err := used.ReadFrom(e.full.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		if err := used.ReadFrom(e.empty.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		if diff := same(e.empty, used); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestFieldsOfNewerNodesAreSkipped(t *testing.T) {
	for name, e := range examples() {
		wire := e.full.AppendTo(nil)
		wire = wire[:len(wire)-1] // the count of tags, which was 0
		wire = kbin.AppendUvarint(wire, 2)
		wire = append(kbin.AppendUvarint(wire, 5), 3, 'n', 'e', 'w')
		wire = append(kbin.AppendUvarint(wire, 70000), 0)
		got := blank(e.full)
		if err := got.ReadFrom(wire); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := same(e.full, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestWhatIsCutOffIsRefused(t *testing.T) {
	for name, e := range examples() {
		wire := e.full.AppendTo(nil)
		for n := range len(wire) {
			if err := blank(e.full).ReadFrom(wire[:n]); err == nil {
				t.Fatalf("%s: %d of %d bytes were enough", name, n, len(wire))
			}
		}
		if err := blank(e.full).ReadFrom(append(wire, 0)); err == nil {
			t.Errorf("%s: a byte behind the end was let through", name)
		}
	}
}

// A length is only believed when as many bytes are there: a few bytes must not take a gigabyte.
func TestLengthsTakeNoMemory(t *testing.T) {
	huge := kbin.AppendUvarint(nil, math.MaxUint32)
	for name, try := range map[string]struct {
		m           message
		wire        []byte
		allocations float64
	}{
		"messages":         {&RaftRequest{}, append([]byte{0, 0, 0, 1}, huge...), 0},
		"message":          {&RaftRequest{}, append([]byte{0, 0, 0, 1, 2}, huge...), 1},
		"string":           {&HelloRequest{}, huge, 0},
		"null string":      {&HelloRequest{}, append([]byte{0}, make([]byte, 25)...), 0},
		"directories":      {&JoinRequest{}, append([]byte{1, 0, 0, 0, 1, 6}, make([]byte, 3*16+30)...), 0},
		"members":          {&JoinResponse{}, append([]byte{0, 0, 1, 1, 0, 0, 0, 1, 4}, make([]byte, 2*minMember)...), 0},
		"tags":             {&HelloRequest{}, append(make25(), huge...), 0},
		"tag":              {&HelloRequest{}, append(append(make25(), 1, 0), huge...), 0},
		"too many, really": {&RaftRequest{}, append(append(kbin.AppendUvarint([]byte{0, 0, 0, 1}, MaxMessages+2), bytes.Repeat([]byte{1}, MaxMessages+1)...), 0), 0},
		"long string":      {&HelloRequest{}, (&long{}).AppendTo(nil), 0},
	} {
		if n := testing.AllocsPerRun(5, func() {
			if try.m.ReadFrom(try.wire) == nil {
				t.Fatalf("%s: was let through", name)
			}
		}); n > try.allocations {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// make25 is a hello without its tags.
func make25() []byte {
	wire := (&HelloRequest{}).AppendTo(nil)
	return wire[:len(wire)-1]
}

// long is a hello whose cluster id is longer than any writer makes it.
type long struct{}

func (*long) AppendTo(dst []byte) []byte {
	return append(kbin.AppendCompactString(dst, strings.Repeat("x", maxString+1)), make25()[1:]...)
}

func TestAnErrorMessageThatIsTooLongIsCut(t *testing.T) {
	wire := (&JoinResponse{ErrorMessage: strings.Repeat("x", 2*maxString)}).AppendTo(nil)
	var got JoinResponse
	if err := got.ReadFrom(wire); err != nil || len(got.ErrorMessage) != maxString {
		t.Fatalf("%d bytes, %v", len(got.ErrorMessage), err)
	}
}

func TestVersionsAreTheMessagesOwn(t *testing.T) {
	for key := KeyHello; key <= KeyJoin; key++ {
		m := NewRequest(key)
		m.SetVersion(3)
		if m.Key() != key || m.GetVersion() != 3 || !m.IsFlexible() || m.MaxVersion() != MaxVersion {
			t.Errorf("key %d: %+v", key, m)
		}
	}
	if NewRequest(29999) != nil || NewRequest(30004) != nil {
		t.Error("a key that is none of ours has a message")
	}
}

// Whatever can be read is written as it was read, but for what is skipped.
func FuzzMessages(f *testing.F) {
	kinds := []message{&HelloRequest{}, &HelloResponse{}, &RaftRequest{}, &SubmitRequest{}, &SubmitResponse{}, &JoinRequest{}, &JoinResponse{}}
	for i, kind := range kinds {
		for _, e := range examples() {
			if same(blank(e.full), kind) == "" {
				f.Add(uint8(i), e.full.AppendTo(nil))
				f.Add(uint8(i), e.empty.AppendTo(nil))
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, wire []byte) {
		m := blank(kinds[int(kind)%len(kinds)])
		if m.ReadFrom(wire) != nil {
			return
		}
		again, written := blank(m), m.AppendTo(nil)
		if err := again.ReadFrom(written); err != nil {
			t.Fatalf("%x was read, but not what was written of it: %v", wire, err)
		}
		if diff := same(m, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAnAnswerToHelloTellsTheClock(t *testing.T) {
	sent := &HelloResponse{ClusterID: "c", Clock: 1_700_000_000_123}
	wire := sent.AppendTo(nil)
	got := &HelloResponse{Clock: 1}
	if err := got.ReadFrom(wire); err != nil || same(sent, got) != "" {
		t.Errorf("%v\n%s", err, same(sent, got))
	}
	if err := got.ReadFrom((&HelloResponse{}).AppendTo(nil)); err != nil || got.Clock != 0 {
		t.Errorf("without a clock: %d, %v", got.Clock, err)
	}
	short := append(wire[:len(wire)-9:len(wire)-9], 3, 1, 2, 3) // a field of three bytes
	if err := got.ReadFrom(short); err != nil || got.Clock != 0 {
		t.Errorf("a field that is too short: %d, %v", got.Clock, err)
	}
	for n := range len(wire) {
		if err := got.ReadFrom(wire[:n]); err == nil {
			t.Fatalf("%d of %d bytes were enough", n, len(wire))
		}
	}
}
