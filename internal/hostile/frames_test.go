package hostile

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// attackers is how many connections a storm of frames uses.
const attackers = 6

// storm sends frames, each of which must be answered as its header says, or cost the connection, in bounded time. next is
// called by all attackers, and ends the storm with nil. It returns how often what came out.
func (v *victim) storm(t *testing.T, next func() []byte) (tally [4]int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range attackers {
		all.Go(func() {
			p := v.peer(t)
			defer func() { p.close() }()
			for {
				mu.Lock()
				b := next()
				mu.Unlock()
				if b == nil || t.Failed() {
					return
				}
				got := p.attack(b)
				mu.Lock()
				tally[got]++
				mu.Unlock()
				if got != answered {
					p.close()
					p = v.peer(t)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d answered, %d connections closed, %d waits left", tally[answered], tally[closed], tally[silent])
	return tally
}

// waits are the keys whose answers may take as long as the client asks, or as other members of a group.
var waits = map[int16]bool{int16(kmsg.Fetch): true, int16(kmsg.JoinGroup): true, int16(kmsg.SyncGroup): true}

// attack sends one frame of at least a header and reads what comes of it.
func (p *peer) attack(b []byte) outcome {
	key, version := int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:]))
	correlation := binary.BigEndian.Uint32(b[8:])
	if key == int16(kmsg.Produce) {
		return p.attackProduce(b, version, correlation)
	}
	p.send(b)
	if waits[key] {
		return p.answerWithin(key, version, correlation, 5*time.Millisecond)
	}
	got := p.answer(key, version, correlation)
	if got == silent || got == wrong {
		p.t.Errorf("%s version %d: %v to % x", kmsg.Key(key).Name(), version, got, b)
	}
	return got
}

// attackProduce sends a second request behind the one that may say that it wants no answer.
func (p *peer) attackProduce(b []byte, version int16, correlation uint32) outcome {
	const after = 0x0bad0bad
	p.send(append(bytes.Clone(b), kmsg.NewRequestFormatter().AppendRequest(nil, kmsg.NewPtrApiVersionsRequest(), after)...))
	answer, got := p.read(patience)
	if got == answered && binary.BigEndian.Uint32(answer) == correlation {
		if _, err := decode(int16(kmsg.Produce), version, answer[4:]); err != nil {
			p.t.Errorf("Produce version %d: the answer cannot be read: %v: % x", version, err, answer)
		}
		answer, got = p.read(patience)
	}
	if got == silent || got == wrong || got == answered && binary.BigEndian.Uint32(answer) != after {
		p.t.Errorf("Produce version %d: %v to % x", version, got, b)
	}
	return got
}

// sized writes a frame's length into it.
func sized(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// some are the requests that a test takes: all, or in the short form the newest version of each key and one other.
func some(rng *rand.Rand, all []recorded) []recorded {
	if *long {
		return all
	}
	var few []recorded
	for i := 0; i < len(all); {
		end := i
		for end < len(all) && all[end].key == all[i].key {
			end++
		}
		few = append(few, all[end-1])
		if end-i > 1 {
			few = append(few, all[i+rng.IntN(end-i-1)])
		}
		i = end
	}
	return few
}

// TestFramesCutShortCostTheConnection cuts valid requests at every length: once with the length that is left, which is
// a malformed request, and once with the length that was, which is a request that never comes to its end.
func TestFramesCutShortCostTheConnection(t *testing.T) {
	v := here(t)
	v.beside(patience)
	requests := some(chance(t), v.recordAll())
	const minimum = 12 // length, key, version, correlation id: what attack reads
	r, n := 0, minimum
	tally := v.storm(t, func() []byte {
		for r < len(requests) && n >= len(requests[r].frame) {
			r, n = r+1, minimum
		}
		if r == len(requests) {
			return nil
		}
		n++
		return sized(bytes.Clone(requests[r].frame[:n-1]))
	})
	if tally[answered] > 0 {
		t.Errorf("%d requests were answered although their ends were missing", tally[answered])
	}
	for _, r := range requests {
		for n := 1; n < len(r.frame); n += either(5, 1) {
			p := v.peer(t)
			p.send(r.frame[:n])
			p.close()
		}
	}
}

// hostile are values that a length, a count or an id should not have.
var (
	hostile32 = []int32{-1, -2, math.MinInt32, math.MaxInt32, math.MaxInt32 - 1, 1 << 30, 100 << 20, 1 << 16, 0}
	hostile16 = []int16{-1, -2, math.MinInt16, math.MaxInt16, 1 << 8, 0}
	hostile64 = []int64{-1, math.MinInt64, math.MaxInt64, 1 << 32}
	varints   = [][]byte{
		{0xff, 0xff, 0xff, 0xff, 0x0f},                                     // the largest 32-bit number
		{0xff, 0xff, 0xff, 0xff, 0x07},                                     // the largest positive one
		{0x80, 0x80, 0x80, 0x80, 0x08},                                     // 2^31
		{0x80, 0x80, 0x80, 0x32},                                           // 100 MiB
		{0xff, 0x7f},                                                       // 16383
		{0x80, 0x80, 0x80, 0x80, 0x00},                                     // 0, longer than it has to be
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},       // too long
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, // endless
		{0},
	}
)

// patched is b with the bytes at [at, at+cut) replaced, and its length put right.
func patched(b []byte, at, cut int, by []byte) []byte {
	cut = min(cut, len(b)-at)
	out := append(bytes.Clone(b[:at]), by...)
	return sized(append(out, b[at+cut:]...))
}

// everyPatch yields b with each hostile value at each position after the header's fixed fields.
func everyPatch(b []byte, yield func([]byte) bool) {
	const from = 12
	for at := from; at < len(b); at++ {
		for _, n := range hostile32 {
			if at+4 <= len(b) && !yield(patched(b, at, 4, binary.BigEndian.AppendUint32(nil, uint32(n)))) {
				return
			}
		}
		for _, n := range hostile16 {
			if at+2 <= len(b) && !yield(patched(b, at, 2, binary.BigEndian.AppendUint16(nil, uint16(n)))) {
				return
			}
		}
		for _, n := range varints {
			if !yield(patched(b, at, 1, n)) {
				return
			}
		}
	}
}

// changed is b after one to three random changes.
func changed(rng *rand.Rand, b []byte) []byte {
	const from = 4
	b = bytes.Clone(b)
	for range 1 + rng.IntN(3) {
		if len(b) < 32 {
			break // there is no header left to change
		}
		at := from + rng.IntN(len(b)-from)
		if rng.IntN(8) > 0 {
			at = max(at, 12) // another key or version is rarely the most interesting
		}
		switch rng.IntN(9) {
		case 0:
			b = patched(b, at, 4, binary.BigEndian.AppendUint32(nil, uint32(hostile32[rng.IntN(len(hostile32))])))
		case 1:
			b = patched(b, at, 2, binary.BigEndian.AppendUint16(nil, uint16(hostile16[rng.IntN(len(hostile16))])))
		case 2:
			b = patched(b, at, 8, binary.BigEndian.AppendUint64(nil, uint64(hostile64[rng.IntN(len(hostile64))])))
		case 3:
			b = patched(b, at, 1, varints[rng.IntN(len(varints))])
		case 4:
			b = patched(b, at, 1, []byte{b[at] ^ 1<<rng.IntN(8)})
		case 5:
			b = patched(b, at, 1, []byte{byte(rng.Uint32())})
		case 6:
			b = patched(b, at, 1+rng.IntN(12), nil)
		case 7:
			b = patched(b, at, 0, b[at:min(len(b), at+1+rng.IntN(24))])
		case 8:
			b = patched(b, at, 0, randomBytes(rng, 1+rng.IntN(12)))
		}
	}
	return sized(b)
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestChangedFramesAreAnsweredOrCostTheConnection sends valid requests with hostile values in place of what was there.
func TestChangedFramesAreAnsweredOrCostTheConnection(t *testing.T) {
	v := here(t)
	v.beside(patience)
	v.stormOfChanges(t, chance(t), either(12_000, 1_000_000))
}

// TestChangedFramesTakeNoMemory is long: changed requests create topics and partitions too, which may take some.
func TestChangedFramesTakeNoMemory(t *testing.T) {
	if !*long {
		t.Skip("long")
	}
	v := apart(t)
	v.beside(patience)
	rng := chance(t)
	growth(t, v, 128<<20, func() { v.stormOfChanges(t, rng, 50_000) })
}

func (v *victim) stormOfChanges(t *testing.T, rng *rand.Rand, n int) {
	all := v.recordAll()
	left := n
	v.storm(t, func() []byte {
		if left--; left < 0 {
			return nil
		}
		for {
			if b := changed(rng, all[rng.IntN(len(all))].frame); len(b) >= 12 {
				return b
			}
		}
	})
}

// TestEveryHostileValueAtEveryPosition is long: in the short form it takes a share of the positions by chance.
func TestEveryHostileValueAtEveryPosition(t *testing.T) {
	v := here(t)
	v.beside(patience)
	rng := chance(t)
	requests := v.recordAll()
	share := either(60, 1)
	frames := make(chan []byte)
	done := make(chan struct{})
	defer close(done)
	go func() {
		defer close(frames)
		for _, r := range requests {
			everyPatch(r.frame, func(b []byte) bool {
				if rng.IntN(share) > 0 {
					return true
				}
				select {
				case frames <- b:
					return true
				case <-done:
					return false
				}
			})
		}
	}()
	v.storm(t, func() []byte { return <-frames })
}

// refused sends bytes on a connection of their own, which the node has to close without a word.
func (v *victim) refused(t *testing.T, what string, b []byte) {
	t.Helper()
	p := v.peer(t)
	defer p.close()
	p.send(b)
	if answer, got := p.read(patience); got != closed {
		t.Errorf("%s: %v: % x", what, got, answer[:min(len(answer), 100)])
	}
}

// TestLengthsThatCannotBeCostTheConnection has frames that announce too much, too little or less than nothing.
func TestLengthsThatCannotBeCostTheConnection(t *testing.T) {
	v := here(t)
	v.beside(patience)
	valid := frame(author{topic: v.topic, id: v.target}.request(int16(kmsg.Metadata), 9))
	produce := frame(author{topic: v.topic, id: v.target}.request(int16(kmsg.Produce), 9))
	for _, n := range []int32{-1, math.MinInt32, 0, 1, 7, 100<<20 + 1, math.MaxInt32} {
		for _, b := range [][]byte{valid, produce} {
			b = bytes.Clone(b)
			binary.BigEndian.PutUint32(b, uint32(n))
			v.refused(t, "a length that cannot be", b)
		}
	}
	huge := bytes.Clone(valid)
	binary.BigEndian.PutUint32(huge, 50<<20)
	v.refused(t, "50 MiB of a request without records", huge)
}

// TestUnknownKeysAndVersionsCostTheConnection tries every key near those that exist, with the versions around its range.
// ApiVersions alone is answered whatever its version: with the range to try again.
func TestUnknownKeysAndVersionsCostTheConnection(t *testing.T) {
	v := here(t)
	v.beside(patience)
	served := map[[2]int16]bool{}
	for _, r := range v.recordAll() {
		served[[2]int16{r.key, r.version}] = true
	}
	keys := []int16{math.MinInt16, -1, 1000, math.MaxInt16}
	for k := range int16(100) {
		keys = append(keys, k)
	}
	n := 0
	for _, key := range keys {
		for _, version := range []int16{math.MinInt16, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, math.MaxInt16} {
			if served[[2]int16{key, version}] {
				continue
			}
			b := make([]byte, 4, 64)
			b = binary.BigEndian.AppendUint16(b, uint16(key))
			b = binary.BigEndian.AppendUint16(b, uint16(version))
			b = binary.BigEndian.AppendUint32(b, correlation)
			b = sized(append(b, 0xff, 0xff, 0, 0, 0, 0, 0, 0))
			n++
			if key == int16(kmsg.ApiVersions) {
				v.holdUnsupportedVersion(t, b, version)
				continue
			}
			v.refused(t, kmsg.Key(key).Name(), b)
		}
	}
	t.Logf("%d keys and versions", n)
}

func (v *victim) holdUnsupportedVersion(t *testing.T, b []byte, version int16) {
	t.Helper()
	p := v.peer(t)
	defer p.close()
	p.send(b)
	answer, got := p.read(patience)
	if got != answered {
		t.Fatalf("ApiVersions version %d: %v", version, got)
	}
	resp, err := decode(int16(kmsg.ApiVersions), version, answer[4:])
	if err != nil || resp.(*kmsg.ApiVersionsResponse).ErrorCode != 35 {
		t.Errorf("ApiVersions version %d: %v, %+v", version, err, resp)
	}
}

// TestOtherProtocolsCostTheConnection has clients that came to the wrong port.
func TestOtherProtocolsCostTheConnection(t *testing.T) {
	v := here(t)
	v.beside(patience)
	for what, text := range map[string]string{
		"HTTP":         "GET / HTTP/1.1\r\nHost: localhost:9092\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
		"HTTP POST":    "POST /topics/target HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n",
		"HTTP/2":       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00",
		"SSH":          "SSH-2.0-OpenSSH_9.6\r\n",
		"Redis":        "*1\r\n$4\r\nPING\r\n",
		"TLS":          clientHello(),
		"TLS, SSLv2":   "\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\x01\x00\x80\x03\x00\x80\x07\x00\xc0\x06\x00\x40",
		"SMTP":         "EHLO localhost\r\nMAIL FROM:<a@localhost>\r\n",
		"all zeros":    string(make([]byte, 4096)),
		"all ones":     string(bytes.Repeat([]byte{0xff}, 4096)),
		"a PROXY line": "PROXY TCP4 127.0.0.1 127.0.0.1 40000 9092\r\n",
	} {
		v.refused(t, what, []byte(text))
	}
}

// clientHello is the beginning of a TLS 1.3 handshake.
func clientHello() string {
	body := "\x03\x03" + string(bytes.Repeat([]byte{7}, 32)) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00" +
		"\x00\x07" + "\x00\x2b\x00\x03\x02\x03\x04"
	hello := "\x01\x00\x00" + string(rune(len(body))) + body
	return "\x16\x03\x01\x00" + string(rune(len(hello))) + hello
}

// TestRandomBytesCostTheConnection sends noise, with and without a frame's length before it.
func TestRandomBytesCostTheConnection(t *testing.T) {
	v := here(t)
	v.beside(patience)
	rng := chance(t)
	for range either(1000, 50_000) {
		b := randomBytes(rng, 13+rng.IntN(300))
		if rng.IntN(2) == 0 {
			sized(b)
			binary.BigEndian.PutUint16(b[4:], uint16(rng.IntN(90)))
			binary.BigEndian.PutUint16(b[6:], uint16(rng.IntN(14)))
		}
		p := v.peer(t)
		p.send(b)
		if len(b)-4 >= int(int32(binary.BigEndian.Uint32(b))) && !waits[int16(binary.BigEndian.Uint16(b[4:]))] {
			if answer, got := p.read(patience); got == silent || got == wrong {
				t.Errorf("%v to % x: % x", got, b, answer)
			}
		}
		p.close()
	}
}
