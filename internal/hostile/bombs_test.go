package hostile

import (
	"context"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/batch"
	"github.com/headrace/headrace/internal/base/compress"
)

// plainBomb is the records of a bomb: many of them without key and value, or one with a value of so many zeros.
func plainBomb(size, count, delta int) []byte {
	if count > 1 {
		var b []byte
		for i := range count {
			b = append(b, record(0, "\x00", 0, i, -1, -1, 0)...)
		}
		return b
	}
	head := append([]byte{0, 0}, binary.AppendVarint(nil, int64(delta))...) // attributes, deltas
	head = append(binary.AppendVarint(head, 1), 'k')                        // a key, which compacted topics want
	head = binary.AppendVarint(head, int64(size))                           // a value
	head = append(binary.AppendVarint(nil, int64(len(head)+size+1)), head...)
	return append(head, make([]byte, size+1)...) // and no headers
}

// bombOf is a batch of count records that are compressed.
func bombOf(t *testing.T, codec compress.Codec, plain []byte, count int) []byte {
	t.Helper()
	inside, err := compress.Compress(nil, plain, codec, compress.DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	b := compressed(codec, inside)
	return sealed(func(b []byte) []byte {
		return set(atCount, 32, int64(count))(set(atLastOffsetDelta, 32, int64(count-1))(b))
	})(b)
}

// bombTopics are those in which a batch goes ways of its own, with what becomes of bombs that may be inflated: of one
// record, and of records without keys.
var bombTopics = map[string]struct {
	configs   map[string]string
	one, many *kerr.Error
}{
	"plain":      {nil, nil, nil},
	"compacted":  {map[string]string{"cleanup.policy": "compact"}, nil, kerr.InvalidRecord},
	"log-append": {map[string]string{"message.timestamp.type": "LogAppendTime"}, nil, nil},
	"inflated":   {map[string]string{"compression.type": "uncompressed"}, kerr.MessageTooLarge, kerr.MessageTooLarge},
	"gzip":       {map[string]string{"compression.type": "gzip"}, nil, nil},
	"snappy":     {map[string]string{"compression.type": "snappy"}, kerr.MessageTooLarge, kerr.MessageTooLarge},
	"lz4":        {map[string]string{"compression.type": "lz4"}, nil, kerr.MessageTooLarge},
	"zstd":       {map[string]string{"compression.type": "zstd"}, nil, nil},
	"all-at-once": {map[string]string{"compression.type": "gzip", "cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"},
		nil, kerr.InvalidRecord},
}

// TestBombsThatMayBeInflatedTakeBoundedMemoryAndTime sends, to topics of every kind, batches just small enough to be
// inflated: they are checked, stamped, renumbered and compressed anew, one after the other, and a healthy client goes on
// meanwhile. Bombs that inflate to more are refused wherever they are sent.
func TestBombsThatMayBeInflatedTakeBoundedMemoryAndTime(t *testing.T) {
	v := apart(t)
	h := v.beside(haste)
	v.bombTopics(t)
	size, records := either(20<<20, 100<<20), either(200_000, 5_000_000)
	type charge struct {
		what  string
		b     []byte
		fails *kerr.Error
	}
	var bombs []charge
	for _, codec := range codecs()[1:] {
		large := size
		if codec == compress.Snappy {
			large = min(size, 15<<20) // it compresses to no less than a twentieth
		}
		bombs = append(bombs, charge{"one", bombOf(t, codec, plainBomb(large, 1, 0), 1), nil},
			charge{"gap", bombOf(t, codec, plainBomb(large, 1, 7), 1), nil})
		if codec != compress.Snappy && codec != compress.LZ4 {
			bombs = append(bombs, charge{"many", bombOf(t, codec, plainBomb(0, records, 0), records), nil},
				charge{"too much", bomb(t, codec, 200<<20), kerr.MessageTooLarge})
		}
	}
	p := v.peer(t)
	defer p.close()
	// One batch at a time is inflated and renumbered, each by as much as 128 MiB; as much again is garbage.
	most := int64(either(512, 640))<<20 + int64(min(runtime.GOMAXPROCS(0), 16))*64<<20
	slowest := time.Duration(0)
	growth(t, v, most, func() {
		for topic, is := range bombTopics {
			for _, c := range bombs {
				want := c.fails
				switch {
				case want == nil && c.what == "many":
					want = is.many
				case want == nil && (topic != "snappy" || codecOf(c.b) != compress.Snappy): // what came in snappy fits in it
					want = is.one
				}
				begun := time.Now()
				code, got := p.produce(topic, 9, c.b)
				slowest = max(slowest, time.Since(begun))
				wanted := int16(0)
				if want != nil {
					wanted = want.Code
				}
				if got != answered || code != wanted && (c.what != "many" || code != 0 && code != kerr.MessageTooLarge.Code) {
					t.Errorf("%s to %s in %v: %v, %v", c.what, topic, codecOf(c.b), got, nameOf(code))
				}
			}
		}
		h.more(50)
	})
	t.Logf("the slowest took %v", slowest)
	if slowest > haste {
		t.Errorf("a bomb held its sender up for %v", slowest)
	}
}

func codecOf(b []byte) compress.Codec { return batch.Attributes(b[atAttributes+1]).Codec() }

func (v *victim) bombTopics(t *testing.T) {
	t.Helper()
	cl := v.client()
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for topic, is := range bombTopics {
		configs := map[string]*string{}
		for k, s := range is.configs {
			configs[k] = &s
		}
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, configs, topic); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStoredBombsAreLookedThroughAFewAtATime stores a bomb, and has many connections look for a time in it.
func TestStoredBombsAreLookedThroughAFewAtATime(t *testing.T) {
	v := apart(t)
	h := v.beside(haste)
	p := v.peer(t)
	defer p.close()
	if code, got := p.produce(v.topic, 9, bombOf(t, compress.Zstd, plainBomb(100<<20, 1, 0), 1)); got != answered || code != 0 {
		t.Fatalf("%v, %v", got, nameOf(code))
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.SetVersion(7)
	req.ReplicaID = -1
	part := kmsg.NewListOffsetsRequestTopicPartition()
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic, topic.Partitions = v.topic, append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	growth(t, v, 1280<<20, func() {
		v.together(t, h, either(48, 300), func(_ int, p *peer) { p.send(frame(req)) })
		p.send(frame(req)) // behind all the others
		if _, got := p.read(2 * patience); got != answered {
			t.Errorf("the last lookup: %v", got)
		}
	})
}
