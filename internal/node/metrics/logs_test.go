package metrics

import (
	"testing"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
)

func TestATransactionIsLateFiveMinutesAfterTheLongestTimeout(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	for timeout, limit := range map[time.Duration]time.Duration{0: 20 * time.Minute, time.Hour: 65 * time.Minute} {
		c := newCollector(Config{MaxTransaction: timeout}, now)
		for age, want := range map[time.Duration]bool{-time.Hour: false, 0: false, limit: false, limit + time.Millisecond: true} {
			if got := c.late(now, now.Add(-age).UnixMilli()); got != want {
				t.Errorf("timeout %v: of a producer that wrote %v ago: %v", timeout, age, got)
			}
		}
		if c.late(now, kafka.NoTimestamp) {
			t.Error("no transaction is late")
		}
	}
}
