package link

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetch asks for records; the other node answers as many bytes as MaxBytes says.
func fetch(size int) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 18
	req.ReplicaState.ID = int32(self)
	req.MaxBytes = int32(size)
	return req
}

func records(r received) {
	req := kmsg.NewPtrFetchRequest()
	req.Version = r.version
	if err := req.ReadFrom(r.body); err != nil || req.ReplicaState.ID != int32(self) {
		panic(err)
	}
	p := kmsg.NewFetchResponseTopicPartition()
	p.RecordBatches = bytes.Repeat([]byte{byte(req.MaxBytes)}, int(req.MaxBytes))
	resp := kmsg.NewPtrFetchResponse()
	resp.Topics = []kmsg.FetchResponseTopic{{Topic: "", TopicID: [16]byte{7}, Partitions: []kmsg.FetchResponseTopicPartition{p}}}
	r.answer(resp)
}

func fetched(t *testing.T, c *Conn, size int) []byte {
	t.Helper()
	resp, err := c.Request(t.Context(), fetch(size))
	if err != nil {
		t.Fatal(err)
	}
	got := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches
	if !bytes.Equal(got, bytes.Repeat([]byte{byte(size)}, size)) {
		t.Fatalf("%d bytes came of %d", len(got), size)
	}
	return got
}

func within(inner, outer []byte) bool {
	at, from := uintptr(unsafe.Pointer(unsafe.SliceData(inner))), uintptr(unsafe.Pointer(unsafe.SliceData(outer)))
	return at >= from && at+uintptr(len(inner)) <= from+uintptr(cap(outer))
}

func TestRecordsLieInOneBufferThatGrowsAndShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		o.take = records
		o.start()
		c, err := w.pool.Dial(t.Context(), far)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, 5000, 3 << 20, 10 << 20, 9 << 20} {
			if got := fetched(t, c, size); !within(got, c.answer.buf) {
				t.Errorf("%d bytes lie somewhere else", size)
			}
		}
		large := c.answer.buf
		fetched(t, c, 9<<20)
		if &large[0] != &c.answer.buf[0] {
			t.Error("the buffer was not used again")
		}
		if cap(large) > 32<<20 {
			t.Errorf("the buffer of 10 MiB has %d bytes", cap(large))
		}
		for range 2*roomRounds + 1 {
			fetched(t, c, 1000)
		}
		if n := cap(c.answer.buf); n > roomLeast {
			t.Errorf("the buffer has %d bytes after many small answers", n)
		}
		// Sizes that differ a little take no new buffer each.
		for size := 20000; size < 20100; size++ {
			fetched(t, c, size)
			if size == 20000 {
				large = c.answer.buf
			}
		}
		if &large[0] != &c.answer.buf[0] {
			t.Error("the buffer was made anew for a few bytes")
		}
		w.pool.Close()
		o.fall()
	})
}

// A node that does not begin to answer in time is not there, or does not know of the request; one that sends slowly is.
func TestAFetchThatIsNotAnsweredEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := listen(w)
		late := make(chan received, 1)
		o.take = func(r received) { late <- r }
		o.start()
		c, err := w.pool.Dial(t.Context(), far)
		if err != nil {
			t.Fatal(err)
		}
		req, began := fetch(10), time.Now()
		req.MaxWaitMillis = 500
		if _, err := c.Request(t.Context(), req); !errors.Is(err, ErrMaybe) {
			t.Errorf("no answer: %v", err)
		}
		if took := time.Since(began); took != fetchGrace+500*time.Millisecond {
			t.Errorf("given up after %v", took)
		}
		<-late
		if c, err = w.pool.Dial(t.Context(), far); err != nil {
			t.Fatal(err)
		}
		go func() {
			r := <-late
			time.Sleep(fetchGrace)
			records(r)
		}()
		if _, err := c.Request(t.Context(), req); err != nil {
			t.Errorf("an answer just in time: %v", err)
		}
		c.Close()
		w.pool.Close()
		o.fall()
	})
}

func TestAConnectionOfItsOwnEnds(t *testing.T) {
	for name, try := range map[string]struct {
		end    func(w *world, o *other, c *Conn, cancel func())
		want   error
		breaks int
	}{
		"broken by the other": {func(_ *world, o *other, _ *Conn, _ func()) { o.cut() }, ErrMaybe, 1},
		"closed":              {func(_ *world, _ *other, c *Conn, _ func()) { c.Close() }, ErrClosed, 0},
		"cancelled":           {func(_ *world, _ *other, _ *Conn, cancel func()) { cancel() }, context.Canceled, 0},
		"the pool closed":     {func(w *world, _ *other, _ *Conn, _ func()) { w.pool.Close() }, ErrClosed, 0},
		"silent": {func(_ *world, o *other, _ *Conn, _ func()) {
			o.takes(nil)
			time.Sleep(answerTime + time.Second)
		}, ErrMaybe, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o := listen(w)
			o.start()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c, err := w.pool.Dial(ctx, far)
			if err != nil {
				t.Fatal(err)
			}
			told := make(chan error, 1)
			go func() {
				_, err := c.Request(ctx, fetch(1))
				told <- err
			}()
			synctest.Wait()
			since := time.Now()
			try.end(w, o, c, cancel)
			synctest.Wait()
			if err := <-told; !errors.Is(err, try.want) {
				t.Errorf("%s: %v", name, err)
			}
			if w.breaks() != try.breaks || name != "silent" && !time.Now().Equal(since) {
				t.Errorf("%s: %d breaks after %v", name, w.breaks(), time.Since(since))
			}
			if _, err := c.Request(t.Context(), fetch(1)); !errors.Is(err, ErrClosed) {
				t.Errorf("%s: used again: %v", name, err)
			}
			synctest.Wait()
			if n := o.connections(); n != 0 {
				t.Errorf("%s: %d connections are left", name, n)
			}
			w.pool.Close()
			o.fall()
		})
	}
}

// What is wrong with a request is not the connection's fault.
func TestARequestTooLargeIsNoBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.MaxFrame = 4096 })
		o := listen(w)
		o.start()
		c, err := w.pool.Dial(t.Context(), far)
		if err != nil {
			t.Fatal(err)
		}
		req := fetch(1)
		req.Rack = string(make([]byte, 5000))
		if _, err := c.Request(t.Context(), req); err == nil || errors.Is(err, ErrMaybe) {
			t.Error(err)
		}
		synctest.Wait()
		if w.breaks() != 0 {
			t.Error("told as a break")
		}
		w.pool.Close()
		if _, err := w.pool.Dial(t.Context(), far); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		o.fall()
	})
}
