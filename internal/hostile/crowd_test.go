package hostile

import (
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// crowd dials until so many connections are open, or the machine gives no more, and sends b on each.
func (v *victim) crowd(t *testing.T, n int, b []byte) (open []net.Conn) {
	t.Helper()
	const dialers = 16
	var mu sync.Mutex
	var all sync.WaitGroup
	for d := range dialers {
		all.Go(func() {
			for i := d; i < n; i += dialers {
				nc, err := net.DialTimeout("tcp", v.addr, patience)
				if err != nil {
					return
				}
				nc.SetWriteDeadline(time.Now().Add(patience))
				_, _ = nc.Write(b) // one that was closed at once shows when it is counted
				mu.Lock()
				open = append(open, nc)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return open
}

// kept counts the connections that the node has not closed.
func kept(open []net.Conn) (n int) {
	for _, nc := range open {
		nc.SetReadDeadline(time.Now().Add(time.Microsecond))
		if _, err := nc.Read(make([]byte, 1)); err != nil && isTimeout(err) {
			n++
		}
	}
	return n
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

func leave(open []net.Conn) {
	for _, nc := range open {
		nc.Close()
	}
}

// TestTenThousandAnnouncementsTakeLittle has as many connections that each announce a frame of 100 MiB: the whole process stays
// under 200 MiB.
func TestTenThousandAnnouncementsTakeLittle(t *testing.T) {
	v := apart(t, withFiles+"=40000")
	h := v.beside(haste)
	limitFiles(40000)
	want := 10_000 / raceCost // the detector keeps some hundred KiB for each
	for _, c := range []struct {
		what  string
		extra int
		most  int64 // a frame of which more has come gets a buffer when its turn is there, and leaves it as garbage
	}{{"announced alone", 0, 200 << 20}, {"begun", 8 << 10, 256 << 20}} {
		what, extra := c.what, c.extra
		v.forgetPeak()
		b := begun(100<<20, author{topic: v.topic, id: v.target}.request(int16(kmsg.Produce), 9), extra)
		began := time.Now()
		open := v.crowd(t, want, b)
		h.more(50)
		n, peak := kept(open), v.resident("VmHWM")
		t.Logf("%s: %d connections of %d opened were kept for %v; resident: %d MiB at the most, %d KiB a connection",
			what, n, len(open), time.Since(began).Round(time.Millisecond), peak>>20, peak>>10/int64(max(n, 1)))
		if peak > raceMemory*c.most {
			t.Errorf("%s: the node took %d MiB", what, peak>>20)
		}
		if extra == 0 && len(open) == want && n < want*99/100 { // half of the 20,000 files that may be had here are for logs
			t.Errorf("%s: only %d of %d connections were kept", what, n, want)
		}
		leave(open)
		v.emptied(t)
	}
}

// emptied returns when the node has let go of a crowd.
func (v *victim) emptied(t *testing.T) {
	t.Helper()
	for begun := time.Now(); v.files(t) > 100; {
		if time.Since(begun) > patience {
			t.Fatalf("the node still has %d files open", v.files(t))
		}
		<-time.After(10 * time.Millisecond) // nothing tells
	}
}

// TestAFloodOfConnectionsLeavesTheOthersAlone floods a node that may open few files, with more connections than it has room
// for, again and again. The healthy client goes on meanwhile, topics are made and filled, and within a second of the flood's
// end a new client is served.
func TestAFloodOfConnectionsLeavesTheOthersAlone(t *testing.T) {
	const files = 600
	v := apart(t, withFiles+"="+strconv.Itoa(files))
	h := v.beside(haste)
	metadata := frame(author{topic: v.topic, id: v.target}.request(int16(kmsg.Metadata), 9))
	var slowest time.Duration
	for range either(3, 20) {
		open := v.crowd(t, 4*files, nil)
		h.more(100)
		// One that the node has yet to accept, or whose end is on its way, counts as kept for a while.
		n := kept(open)
		for begun := time.Now(); n > files/2 && time.Since(begun) < patience; n = kept(open) {
			<-time.After(10 * time.Millisecond)
		}
		t.Logf("%d of %d connections kept, %d files open", n, len(open), v.files(t))
		if n > files/2 {
			t.Errorf("%d connections of a node with %d files were kept: nothing is left for logs", n, files)
		}
		leave(open)
		ended := time.Now()
		for {
			p := v.peer(t)
			p.send(metadata)
			_, got := p.read(patience)
			p.close()
			if got == answered {
				break
			}
			if time.Since(ended) > patience {
				t.Fatalf("no new client is served: %v", got)
			}
			<-time.After(5 * time.Millisecond) // as a client does
		}
		slowest = max(slowest, time.Since(ended))
	}
	t.Logf("new clients were served within %v of the end of a flood", slowest)
	if slowest > raceCost*time.Second {
		t.Errorf("a new client was served only %v after the flood", slowest)
	}
}

// TestSlowClientsAreCutOff has clients that send half a request, byte by byte or not at all, and clients that read nothing, on
// a node with short deadlines; one that reads slowly and one that waits long are served.
func TestSlowClientsAreCutOff(t *testing.T) {
	const deadline = 2 * time.Second
	v := hereWith(t, map[string]string{"headrace.request.arrival.ms": "2000", "headrace.answer.stall.ms": "2000"})
	v.beside(patience)
	v.load(t, 16)
	produce := begun(64<<10, author{topic: v.topic, id: v.target}.request(int16(kmsg.Produce), 9), 64<<10)
	fetch := author{topic: v.topic, id: v.target}.request(int16(kmsg.Fetch), 12).(*kmsg.FetchRequest)
	fetch.MaxBytes, fetch.Topics[0].Partitions[0].PartitionMaxBytes = 50<<20, 50<<20
	var all sync.WaitGroup
	cut := func(what string, b []byte, at int) {
		all.Go(func() {
			p := v.peer(t)
			defer p.close()
			p.nc.(*net.TCPConn).SetReadBuffer(4 << 10)
			begun := time.Now()
			p.send(b[:at])
			for ; ; at++ {
				if _, err := p.nc.Write(b[at : at+1]); err != nil {
					break
				}
				if time.Since(begun) > 4*deadline+patience {
					t.Errorf("%s: kept for %v", what, time.Since(begun))
					return
				}
				<-time.After(50 * time.Millisecond) // it is slow
			}
			t.Logf("%s: cut off after %v", what, time.Since(begun).Round(10*time.Millisecond))
			if time.Since(begun) < deadline/2 {
				t.Errorf("%s: cut off after %v", what, time.Since(begun))
			}
		})
	}
	for _, n := range []int{1, 6, 20, 60, 5000} {
		cut(strconv.Itoa(n)+" bytes, then one by one", produce, n)
	}
	cut("answers that are not read", slices.Repeat(frame(fetch), 200), 8*len(frame(fetch)))
	all.Go(func() { v.readSlowly(t, fetch, 3*deadline) })
	all.Go(func() { v.waitLong(t, 2*deadline) })
	all.Wait()
}

// readSlowly takes an answer in parts, with pauses, for as long as is said.
func (v *victim) readSlowly(t *testing.T, req kmsg.Request, lasts time.Duration) {
	p := v.peer(t)
	defer p.close()
	p.nc.(*net.TCPConn).SetReadBuffer(64 << 10)
	p.send(frame(req))
	for begun, got := time.Now(), 0; time.Since(begun) < lasts; {
		<-time.After(lasts / 30)
		n, err := p.nc.Read(make([]byte, 128<<10))
		if err != nil {
			t.Errorf("a client that reads slowly was cut off after %v and %d bytes: %v", time.Since(begun), got, err)
			return
		}
		got += n
	}
}

// waitLong asks for records that do not come, for longer than the deadlines.
func (v *victim) waitLong(t *testing.T, wait time.Duration) {
	fetch := author{topic: v.topic, id: v.target}.request(int16(kmsg.Fetch), 12).(*kmsg.FetchRequest)
	fetch.MaxWaitMillis, fetch.MinBytes = int32(wait.Milliseconds()), 1
	fetch.Topics[0].Partitions[0].Partition = 1
	p := v.peer(t)
	defer p.close()
	p.send(frame(fetch))
	if _, got := p.read(wait + patience); got != answered {
		t.Errorf("a long poll: %v", got)
	}
}
