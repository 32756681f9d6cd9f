package kafkatools

import (
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// settings turns properties into options of the client, and keeps the first complaint about one that is no number.
type settings struct {
	p    props
	opts []kgo.Opt
	err  error
}

func (s *settings) add(o ...kgo.Opt) { s.opts = append(s.opts, o...) }

// number is a property that is a whole number, or the fallback.
func (s *settings) number(key, fallback string) int64 {
	text := s.p.or(key, fallback)
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if (err != nil || n < 0) && s.err == nil {
		s.err = configError("Invalid value %s for configuration %s: Not a number of type LONG", text, key)
	}
	return n
}

// sized adds the option that a property stands for, where it is there. What the client finds too little or too much becomes what
// it takes.
func sized[O kgo.Opt, N int | int32](s *settings, key string, least, most N, option func(N) O) {
	if _, ok := s.p.get(key); ok {
		s.add(option(N(min(max(s.number(key, ""), int64(least)), int64(most)))))
	}
}

// timed does so for a time in milliseconds.
func timed[O kgo.Opt](s *settings, key string, least, most time.Duration, option func(time.Duration) O) {
	if _, ok := s.p.get(key); ok {
		ms := min(s.number(key, ""), int64(most/time.Millisecond))
		s.add(option(max(time.Duration(ms)*time.Millisecond, least)))
	}
}

// buffer is the size of a socket's buffer; 0 leaves it to the system.
func (s *settings) buffer(key string) int {
	text, ok := s.p.get(key)
	if !ok || strings.TrimSpace(text) == "-1" {
		return 0
	}
	return int(s.number(key, ""))
}

const day = 24 * time.Hour

// common are what clients of all kinds have.
func (s *settings) common() {
	timed(s, "request.timeout.ms", 100*time.Millisecond, 15*time.Minute, kgo.RequestTimeoutOverhead)
	timed(s, "connections.max.idle.ms", 100*time.Millisecond, 15*time.Minute, kgo.ConnIdleTimeout)
	timed(s, "retry.backoff.ms", time.Millisecond, time.Hour, func(pause time.Duration) kgo.Opt {
		return kgo.RetryBackoffFn(func(int) time.Duration { return pause })
	})
	const least = 10 * time.Millisecond
	timed(s, "metadata.max.age.ms", least, time.Hour, kgo.MetadataMaxAge)
	timed(s, "metadata.max.age.ms", least, 5*time.Second, kgo.MetadataMinAge) // never above the other
}
