package hostile

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// timed sends a request, which must be answered or refused, and tells how long that took.
func (v *victim) timed(t *testing.T, req kmsg.Request) (kmsg.Response, time.Duration) {
	t.Helper()
	p := v.peer(t)
	defer p.close()
	b := frame(req)
	sent := time.Now()
	p.send(b)
	answer, got := p.read(4 * patience)
	took := time.Since(sent)
	var resp kmsg.Response
	switch got {
	case answered:
		var err error
		if resp, err = decode(req.Key(), req.GetVersion(), answer[4:]); err != nil {
			t.Errorf("%s: the answer cannot be read: %v", kmsg.Key(req.Key()).Name(), err)
		}
	case silent, wrong:
		t.Errorf("%s: %v to %d bytes", kmsg.Key(req.Key()).Name(), got, len(b))
	}
	if took > time.Second || testing.Verbose() {
		t.Logf("%s version %d, %d KiB: %v in %v", kmsg.Key(req.Key()).Name(), req.GetVersion(), len(b)>>10, got, took.Round(time.Millisecond))
	}
	return resp, took
}

// TestWideRequestsAreAnsweredInTime names as many things in one request as fit into it. Work that grows with the square of their
// number would show: it would take minutes.
func TestWideRequestsAreAnsweredInTime(t *testing.T) {
	v := here(t)
	v.beside(patience)
	newest := map[int16]int16{}
	for _, r := range v.recordAll() {
		newest[r.key] = r.version
	}
	a := author{topic: v.topic, id: v.target, width: either(20_000, 200_000)}
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		if _, took := v.timed(t, a.request(key, newest[key])); took > patience {
			t.Errorf("%s took %v", kmsg.Key(key).Name(), took)
		}
	}
	names := a.request(int16(kmsg.Metadata), 9).(*kmsg.MetadataRequest)
	names.AllowAutoTopicCreation = true
	for i := range names.Topics {
		*names.Topics[i].Topic = "auto-" + *names.Topics[i].Topic
	}
	if _, took := v.timed(t, names); took > patience {
		t.Errorf("creating topics by asking for them took %v", took)
	}
}
