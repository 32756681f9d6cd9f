package hostile

import (
	"encoding/binary"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/compress"
)

// growth runs an attack on a node in a process of its own and holds the memory that it takes, over what the node took with a
// healthy client alone, to a bound.
func growth(t *testing.T, v *victim, most int64, attack func()) {
	t.Helper()
	most *= raceMemory
	v.forgetPeak()
	before := v.resident("VmRSS")
	attack()
	peak := v.resident("VmHWM")
	t.Logf("resident: %d MiB before, %d MiB at the most", before>>20, peak>>20)
	if peak > before+most {
		t.Errorf("the node took %d MiB more, not %d MiB at the most", (peak-before)>>20, most>>20)
	}
}

// together runs f on so many connections at once, and closes those when all have returned and the healthy client has
// produced some more.
func (v *victim) together(t *testing.T, h *healthy, n int, f func(i int, p *peer)) {
	t.Helper()
	peers := make([]*peer, n)
	defer func() {
		for _, p := range peers {
			if p != nil {
				p.close()
			}
		}
	}()
	const dialers = 16
	var all sync.WaitGroup
	for d := range dialers {
		all.Go(func() {
			for i := d; i < n; i += dialers {
				nc, err := net.DialTimeout("tcp", v.addr, patience)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				p := &peer{t: t, nc: nc}
				peers[i] = p
				f(i, p)
			}
		})
	}
	all.Wait()
	h.more(50)
}

// begun is the beginning of a frame that says to be of size bytes.
func begun(size int, req kmsg.Request, extra int) []byte {
	b := append(frame(req), make([]byte, extra)...)
	binary.BigEndian.PutUint32(b, uint32(size))
	return b
}

// TestFramesThatAreNeverEndedTakeNoMemory has many connections that each begin a large request: with its header alone, or with
// some of its body too, which is when the node takes memory for it.
func TestFramesThatAreNeverEndedTakeNoMemory(t *testing.T) {
	v := apart(t)
	h := v.beside(haste)
	for _, c := range []struct {
		what  string
		size  int
		key   kmsg.Key
		extra int
	}{
		{"100 MiB to produce", 100 << 20, kmsg.Produce, 0},
		{"100 MiB to produce, begun", 100 << 20, kmsg.Produce, 8 << 10},
		{"1 MiB to produce, begun", 1 << 20, kmsg.Produce, 8 << 10},
		{"8 MiB of names", 8 << 20, kmsg.Metadata, 0},
		{"64 KiB of names, begun", 64 << 10, kmsg.Fetch, 8 << 10},
	} {
		t.Log(c.what)
		b := begun(c.size, author{topic: v.topic, id: v.target}.request(int16(c.key), 9), c.extra)
		growth(t, v, 200<<20, func() {
			v.together(t, h, either(1000, 5000), func(_ int, p *peer) { p.send(b) })
		})
	}
}

// haste bounds a healthy client's wait under a flood: much less than connections could make it wait one after the other.
const haste = raceCost * 5 * time.Second

// TestClientsThatNeverReadTakeNoMemory has many connections that ask for much, again and again, and read nothing.
func TestClientsThatNeverReadTakeNoMemory(t *testing.T) {
	v := apart(t)
	h := v.beside(haste)
	v.load(t, either(32, 128))
	fetch := author{topic: v.topic, id: v.target}.request(int16(kmsg.Fetch), 12).(*kmsg.FetchRequest)
	fetch.MaxBytes, fetch.Topics[0].Partitions[0].PartitionMaxBytes = 50<<20, 50<<20
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.SetVersion(9)
	metadata.Topics = nil // all
	var b []byte
	for range 100 {
		b = append(b, frame(fetch)...)
		b = append(b, frame(metadata)...)
	}
	n := either(200, 500)
	growth(t, v, 64<<20+int64(n)*128<<10, func() {
		v.together(t, h, n, func(_ int, p *peer) {
			p.nc.(*net.TCPConn).SetReadBuffer(4 << 10)
			p.nc.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // the node stops reading what it cannot answer
			_, _ = p.nc.Write(b)
		})
	})
}

// load fills the attacked topic with so many MiB.
func (v *victim) load(t *testing.T, mib int) {
	t.Helper()
	cl := v.client(kgo.DefaultProduceTopic(v.topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	value := make([]byte, 512<<10)
	var rs []*kgo.Record
	for range 2 * mib {
		rs = append(rs, &kgo.Record{Value: value})
	}
	if err := cl.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// more returns when so many more records were acknowledged.
func (h *healthy) more(n int64) {
	h.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begun, want := time.Now(), h.acked.Load()+n
	for h.acked.Load() < want {
		if time.Since(begun) > 2*patience {
			h.t.Fatalf("the healthy client is stuck: %d records of %d in %v", n-(want-h.acked.Load()), n, time.Since(begun))
		}
		<-tick.C
	}
}

// bomb is a batch of one record whose value is so many zeros.
func bomb(t *testing.T, codec compress.Codec, size int) []byte {
	t.Helper()
	var head []byte
	head = append(head, 0, 0, 0)                  // attributes, deltas
	head = binary.AppendVarint(head, -1)          // no key
	head = binary.AppendVarint(head, int64(size)) // a value
	head = append(binary.AppendVarint(nil, int64(len(head)+size+1)), head...)
	plain := append(head, make([]byte, size+1)...) // and no headers
	inside, err := compress.Compress(nil, plain, codec, compress.DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	return compressed(codec, inside)
}

// explode sends one bomb after the other, and holds that each is refused; snappy alone cannot inflate to too much.
func (v *victim) explode(t *testing.T, bombs [][]byte) {
	t.Helper()
	p := v.peer(t)
	defer p.close()
	for i, b := range bombs {
		codec, want := codecs()[1+i], kerr.MessageTooLarge.Code
		if codec == compress.Snappy {
			want = 0
		}
		if code, got := p.produce(v.topic, 9, b); got != answered || code != want {
			t.Errorf("%v: %v, %v", codec, got, nameOf(code))
		}
	}
}

// TestBombsAreRefused sends batches of every codec that inflate to as much as they can, on many connections at once.
func TestBombsAreRefused(t *testing.T) {
	v := apart(t)
	h := v.beside(haste)
	sizes := map[compress.Codec]int{compress.Gzip: 900 << 20, compress.Snappy: 19 << 20, compress.LZ4: 220 << 20, compress.Zstd: 1 << 30}
	var bombs [][]byte
	for _, codec := range codecs()[1:] {
		b := bomb(t, codec, either(min(sizes[codec], 200<<20), sizes[codec]))
		t.Logf("%v: %d bytes", codec, len(b))
		bombs = append(bombs, b)
	}
	// One batch at a time may have 128 MiB, and one a processor 16 MiB; as much again, and more, is garbage for a while.
	most := 384<<20 + int64(min(runtime.GOMAXPROCS(0), 16))*64<<20
	growth(t, v, most, func() {
		v.explode(t, bombs)
		v.together(t, h, either(40, 400), func(i int, p *peer) { p.send(produceFrame(v.topic, 9, bombs[i%len(bombs)])) })
	})
}
