// Package play is the scenario that each client program of the suite performs: create a topic, produce the data set
// codec by codec, consume it in a group that a second member joins and leaves midway, and resume the group afterwards.
// The Go client programs hand their client to Main; the programs in the other languages do the same steps.
//
// What happened is written to an event log, a text file that cmd/verify judges. Its lines are tab-separated:
//
//	P codec from to                               rows [from, to) were acknowledged
//	J member partitions                           the member now owns these partitions
//	M member partition offset time key value headers   the member was given this record
//	C member partition offset                     a commit of this offset was acknowledged
//	S                                             every member left; what follows is the group's second life
package play

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/interop/go/flights"
)

const (
	// Partitions is the partition count of the topic.
	Partitions = 4
	// Tail is how many of the last rows are kept back for the group's second life.
	Tail = 1000
	// joinBatch is how many records the second member must be given before it leaves.
	joinBatch = 2000
	// slowRate is the records a second that each member takes while the second one joins and leaves, so that there
	// is something left for it.
	slowRate = 8_000
	// deadline bounds each life of the group.
	deadline = 90 * time.Second
)

// Config is the topic configuration: the records are from 2013, so retention must be off, and one segment is allowed to
// span the year.
var Config = map[string]string{"retention.ms": "-1", "segment.ms": "315360000000"}

// Client is what a program has to provide.
type Client interface {
	CreateTopic(ctx context.Context) error
	// Produce returns when every row is acknowledged.
	Produce(ctx context.Context, codec string, rows []flights.Row) error
	// Consume is one member of the group from join to leave. It returns nil after ctx is done and the member has left.
	Consume(ctx context.Context, m *Member) error
}

// Settings is how the runner tells a program what to do.
type Settings struct {
	Bootstrap, Topic, Group string
}

// Env reads the settings from the environment.
func Env() Settings {
	return Settings{os.Getenv("INTEROP_BOOTSTRAP"), os.Getenv("INTEROP_TOPIC"), os.Getenv("INTEROP_GROUP")}
}

// Main performs the scenario and exits non-zero if it can not be finished.
func Main(c Client, codecs ...string) {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if err := run(context.Background(), c, codecs); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, c Client, codecs []string) error {
	rows, err := flights.Read(os.Getenv("INTEROP_ROWS"))
	if err != nil {
		return err
	}
	f, out, err := flights.NewWriter(os.Getenv("INTEROP_EVENTS"))
	if err != nil {
		return err
	}
	s := &scenario{client: c, out: out, changed: make(chan struct{}, 1)}
	if err := s.perform(ctx, rows, codecs); err != nil {
		return err
	}
	return errors.Join(out.Flush(), f.Close())
}

// scenario is the state shared by the members of one program.
type scenario struct {
	client Client
	// changed has room for one token; it is filled after each batch.
	changed chan struct{}

	mu struct {
		sync.Mutex
		next  [Partitions]int64 // one past the highest offset seen
		taken map[string]int    // records by member
		slow  bool
	}
	outMu sync.Mutex
	out   *bufio.Writer
	buf   []byte
}

func (s *scenario) perform(ctx context.Context, rows []flights.Row, codecs []string) error {
	s.mu.taken = map[string]int{}
	if err := s.client.CreateTopic(ctx); err != nil {
		return fmt.Errorf("create the topic: %w", err)
	}
	body := rows[:len(rows)-Tail]
	for i, codec := range codecs {
		from, to := i*len(body)/len(codecs), (i+1)*len(body)/len(codecs)
		if err := s.produce(ctx, codec, rows, from, to); err != nil {
			return err
		}
	}
	if err := s.firstLife(ctx, int64(len(body))); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	s.event("S")
	if err := s.produce(ctx, codecs[0], rows, len(body), len(rows)); err != nil {
		return err
	}
	if err := s.secondLife(ctx, int64(len(rows))); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

func (s *scenario) produce(ctx context.Context, codec string, rows []flights.Row, from, to int) error {
	start := time.Now()
	if err := s.client.Produce(ctx, codec, rows[from:to]); err != nil {
		return fmt.Errorf("produce with %s: %w", codec, err)
	}
	log.Printf("produced %d records with %s in %v", to-from, codec, time.Since(start))
	s.event("P", codec, strconv.Itoa(from), strconv.Itoa(to))
	return nil
}

func (s *scenario) firstLife(ctx context.Context, want int64) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a := s.start(ctx, "A")
	defer a.stop()
	if err := s.await(a, func() bool { return s.seen() >= want/3 }); err != nil {
		return err
	}
	s.setSlow(true)
	b := s.start(ctx, "B")
	defer b.stop()
	if err := s.await(b, func() bool { return s.mu.taken["B"] >= joinBatch }); err != nil {
		return err
	}
	if err := b.stop(); err != nil {
		return err
	}
	log.Print("member B left")
	s.setSlow(false)
	if err := s.await(a, func() bool { return s.seen() >= want }); err != nil {
		return err
	}
	return a.stop()
}

func (s *scenario) secondLife(ctx context.Context, want int64) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a := s.start(ctx, "A2")
	defer a.stop()
	if err := s.await(a, func() bool { return s.seen() >= want }); err != nil {
		return err
	}
	return a.stop()
}

// seen is called with mu held.
func (s *scenario) seen() (sum int64) {
	for _, n := range s.mu.next {
		sum += n
	}
	return sum
}

func (s *scenario) setSlow(slow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.slow = slow
}

// await returns when done, called with mu held after each batch, is true, or the member ended.
func (s *scenario) await(m *running, done func() bool) error {
	for {
		s.mu.Lock()
		ok := done()
		taken, seen := fmt.Sprint(s.mu.taken), s.seen()
		s.mu.Unlock()
		if ok {
			log.Printf("%d records seen, by member %s", seen, taken)
			return nil
		}
		select {
		case <-s.changed:
		case <-m.ended:
			return fmt.Errorf("member %s ended after %d records, by member %s: %v", m.name, seen, taken, m.err)
		}
	}
}

// running is a member and the goroutine that consumes for it.
type running struct {
	name   string
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // readable after ended is closed
}

func (s *scenario) start(ctx context.Context, name string) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{name: name, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = s.client.Consume(ctx, &Member{Name: name, s: s})
	}()
	return r
}

func (r *running) stop() error {
	r.cancel()
	<-r.ended
	return r.err
}

func (s *scenario) event(fields ...string) {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	s.out.WriteString(strings.Join(fields, "\t"))
	s.out.WriteByte('\n')
}

// Member reports what one consumer was given. Its methods may be called by several goroutines.
type Member struct {
	Name string
	s    *scenario
}

// Assigned reports the partitions that the member owns from now on.
func (m *Member) Assigned(partitions []int32) {
	slices.Sort(partitions)
	m.s.event("J", m.Name, strings.Trim(strings.ReplaceAll(fmt.Sprint(partitions), " ", ","), "[]"))
}

// Record reports one record.
func (m *Member) Record(partition int32, offset int64, row flights.Row) {
	s := m.s
	s.outMu.Lock()
	b := append(append(s.buf[:0], "M\t"...), m.Name...)
	b = strconv.AppendInt(append(b, '\t'), int64(partition), 10)
	b = strconv.AppendInt(append(b, '\t'), offset, 10)
	s.buf = append(row.Append(append(b, '\t')), '\n')
	s.out.Write(s.buf)
	s.outMu.Unlock()

	s.mu.Lock()
	s.mu.next[partition] = max(s.mu.next[partition], offset+1)
	s.mu.taken[m.Name]++
	s.mu.Unlock()
}

// Committed reports an acknowledged commit: the group goes on at offset.
func (m *Member) Committed(partition int32, offset int64) {
	m.s.event("C", m.Name, strconv.Itoa(int(partition)), strconv.FormatInt(offset, 10))
}

// Batch is called after each n records, when their commit is done. It takes its time while the group has two members.
func (m *Member) Batch(ctx context.Context, n int) {
	select {
	case m.s.changed <- struct{}{}:
	default:
	}
	m.s.mu.Lock()
	slow := m.s.mu.slow
	m.s.mu.Unlock()
	if !slow {
		return
	}
	select {
	case <-time.After(time.Duration(n) * time.Second / slowRate):
	case <-ctx.Done():
	}
}
