package hostile

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// tap is a proxy before a node that keeps the requests that real clients send through it.
type tap struct {
	listener net.Listener
	to       string
	conns    sync.WaitGroup

	mu     sync.Mutex
	frames map[[2]int16][][]byte // by key and version
}

// keptFrames of one key and version are enough to change.
const keptFrames = 8

func (v *victim) tap(t *testing.T) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{listener: l, to: v.addr, frames: map[[2]int16][][]byte{}}
	p.conns.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p.conns.Go(func() { p.carry(nc) })
		}
	})
	return p
}

func (p *tap) close() {
	p.listener.Close()
	p.conns.Wait()
}

// carry takes requests frame by frame to the node, and its answers back.
func (p *tap) carry(nc net.Conn) {
	defer nc.Close()
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer up.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(nc, up) // it ends with either
		nc.Close()
	}()
	defer func() { <-back }()
	defer up.Close()
	for {
		head := make([]byte, 4)
		if _, err := io.ReadFull(nc, head); err != nil {
			return
		}
		b := append(head, make([]byte, binary.BigEndian.Uint32(head))...)
		if _, err := io.ReadFull(nc, b[4:]); err != nil {
			return
		}
		p.keep(b)
		if _, err := up.Write(b); err != nil {
			return
		}
	}
}

func (p *tap) keep(b []byte) {
	id := [2]int16{int16(binary.BigEndian.Uint16(b[4:])), int16(binary.BigEndian.Uint16(b[6:]))}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.frames[id]) < keptFrames && len(b) < 64<<10 {
		p.frames[id] = append(p.frames[id], bytes.Clone(b))
	}
}

// record has real clients do all that they can through a tap: franz-go's producer, group consumer and admin client as they are
// today and as they spoke to every Apache Kafka since 0.11, and their requests one by one in every version that the node
// serves, for what their programs never send. It returns what went over the wire.
func (v *victim) record(t *testing.T) []recorded {
	t.Helper()
	p := v.tap(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for i, speaks := range []*kversion.Versions{
		nil, kversion.V0_11_0(), kversion.V1_0_0(), kversion.V1_1_0(), kversion.V2_0_0(), kversion.V2_1_0(), kversion.V2_2_0(), kversion.V2_3_0(),
		kversion.V2_4_0(), kversion.V2_5_0(), kversion.V2_6_0(), kversion.V2_7_0(), kversion.V2_8_0(), kversion.V3_0_0(), kversion.V3_3_0(),
		kversion.V3_6_0(), kversion.V3_9_0(), kversion.V4_0_0(),
	} {
		opts := []kgo.Opt{kgo.SeedBrokers(p.listener.Addr().String()), kgo.Dialer(p.dial)}
		if speaks != nil {
			opts = append(opts, kgo.MaxVersions(speaks))
		}
		p.work(ctx, t, i, opts)
	}
	real := len(p.frames)
	a := author{topic: v.topic, id: v.target}
	for _, r := range v.recordAll() {
		id := [2]int16{r.key, r.version}
		if len(p.frames[id]) == 0 {
			p.frames[id] = [][]byte{frame(a.request(r.key, r.version))}
		}
	}
	p.close()
	var all []recorded
	frames := 0
	for id, bs := range p.frames {
		frames += len(bs)
		for _, b := range bs {
			all = append(all, recorded{id[0], id[1], b})
		}
	}
	slices.SortStableFunc(all, func(a, b recorded) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.version, b.version)) })
	t.Logf("%d keys and versions, %d of them as programs sent them; %d frames", len(p.frames), real, frames)
	return all
}

// dial goes through the tap whatever address the node told.
func (p *tap) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.listener.Addr().String())
}

// work is what a program does in a day. Errors are of no matter: old versions lack this or that.
func (p *tap) work(ctx context.Context, t *testing.T, i int, opts []kgo.Opt) {
	t.Helper()
	topic := "recorded-" + string(rune('a'+i))
	cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(topic), kgo.DisableAutoCommit(), kgo.AllowAutoTopicCreation(),
		kgo.FetchMaxWait(50*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequestRetries(1), kgo.RecordRetries(3))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	_, _ = adm.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": kadm.StringPtr("3600000")}, topic)
	for n := range 10 {
		r := &kgo.Record{Topic: topic, Key: []byte{byte(n)}, Value: bytes.Repeat([]byte("v"), 100*n), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}}
		_ = cl.ProduceSync(ctx, r).FirstErr()
	}
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for read := 0; read < 10 && short.Err() == nil; {
		read += cl.PollFetches(short).NumRecords()
	}
	_ = cl.CommitUncommittedOffsets(short)
	_, _ = adm.Metadata(short)
	_, _ = adm.ListGroups(short)
	_, _ = adm.DescribeGroups(short, topic)
	_, _ = adm.FetchOffsets(short, topic)
	_, _ = adm.ListStartOffsets(short, topic)
	_, _ = adm.ListEndOffsets(short, topic)
	_, _ = adm.ListOffsetsAfterMilli(short, time.Now().UnixMilli(), topic)
	_, _ = adm.DescribeTopicConfigs(short, topic)
	_, _ = adm.DescribeBrokerConfigs(short)
	_, _ = adm.AlterTopicConfigs(short, []kadm.AlterConfig{{Name: "segment.ms", Value: kadm.StringPtr("100000")}}, topic)
	_, _ = adm.DescribeAllLogDirs(short, nil)
	_, _ = adm.CreatePartitions(short, 1, topic)
	_, _ = adm.DescribeProducers(short, kadm.TopicsSet{topic: {0: {}}})
	_, _ = adm.WriteTxnMarkers(short, kadm.TxnMarkers{ProducerID: 1 << 40, Topics: kadm.TopicsSet{topic: {0: {}, 1: {}}, "__consumer_offsets": {0: {}}}})
	var before kadm.Offsets
	before.AddOffset(topic, 0, 1, -1)
	_, _ = adm.DeleteRecords(short, before)
	_, _ = adm.DeleteOffsets(short, topic, kadm.TopicsSet{topic: {0: {}}})
	_, _ = adm.ApiVersions(short)
	_ = cl.LeaveGroupContext(short)
	_, _ = adm.DeleteGroups(short, topic)
	_, _ = adm.DeleteTopics(short, topic)
}

// TestChangedTrafficTakesNoMemoryAndNoNode changes what real clients sent, a million times in the long form, and sends it to a
// node of its own process: nothing panics, nobody waits, and the memory it takes in all stays within 128 MiB more.
func TestChangedTrafficTakesNoMemoryAndNoNode(t *testing.T) {
	v := apart(t)
	v.beside(patience)
	all := v.record(t)
	rng := chance(t)
	n := either(6_000, 1_000_000)
	begun := time.Now()
	growth(t, v, 128<<20, func() { v.stormOf(t, rng, all, n) })
	took := time.Since(begun)
	t.Logf("%d frames in %v: %.0f a second", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
	v.listen(t)
}

// tidyEvery so many frames the topics that they made are deleted: a node keeps what it is told to make, and partitions by the
// thousand are not what is measured here.
const tidyEvery = 2000

func (v *victim) tidyUp(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	cl := v.client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		t.Errorf("list the topics: %v", err)
		return
	}
	var made []string
	for name, d := range topics {
		if name != healthyTopic && (name != v.topic || len(d.Partitions) > 2) {
			made = append(made, name)
		}
	}
	if _, err := adm.DeleteTopics(ctx, made...); err != nil {
		t.Errorf("delete %d topics: %v", len(made), err)
	}
	if _, err := adm.CreateTopic(ctx, 2, 1, nil, v.topic); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Errorf("make the topic again: %v", err)
	}
}

// stormOf sends n changed frames of those recorded, each key and version as often as any other.
func (v *victim) stormOf(t *testing.T, rng *rand.Rand, all []recorded, n int) {
	t.Helper()
	byID := map[[2]int16][][]byte{}
	var ids [][2]int16
	for _, r := range all {
		id := [2]int16{r.key, r.version}
		if byID[id] == nil {
			ids = append(ids, id)
		}
		byID[id] = append(byID[id], r.frame)
	}
	v.storm(t, func() []byte {
		if n--; n < 0 {
			return nil
		}
		if n%tidyEvery == 0 {
			v.tidyUp(t)
		}
		for {
			of := byID[ids[rng.IntN(len(ids))]]
			if b := changed(rng, of[rng.IntN(len(of))]); len(b) >= 12 {
				return b
			}
		}
	})
}
