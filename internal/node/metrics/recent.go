package metrics

import "time"

// recent turns running totals into what happened lately, for metrics of Kafka's that are averages over a window. It keeps a
// sample of each scrape, so that any number of scrapers see the same.
type recent struct{ samples []total }

// total is how much there was at a time.
type total struct {
	at    time.Time
	count uint64
	sum   time.Duration
}

const (
	window  = time.Minute
	spacing = time.Second // samples that come sooner are not kept
)

func newRecent(now time.Time) recent { return recent{[]total{{at: now}}} }

// since adds a sample and tells what came since the oldest within the window; the time is never 0.
func (r *recent) since(now time.Time, count uint64, sum time.Duration) (elapsed time.Duration, n uint64, s time.Duration) {
	for len(r.samples) > 1 && now.Sub(r.samples[1].at) >= window {
		r.samples = r.samples[1:]
	}
	oldest := r.samples[0]
	if now.Sub(r.samples[len(r.samples)-1].at) >= spacing {
		r.samples = append(r.samples, total{now, count, sum})
	}
	return max(now.Sub(oldest.at), time.Millisecond), count - oldest.count, sum - oldest.sum
}
