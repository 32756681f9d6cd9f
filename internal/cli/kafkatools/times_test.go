package kafkatools

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT1H": time.Hour, "P1DT2H3M4.5S": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond, "PT0S": 0, "-PT1M": -time.Minute, "P2D": 48 * time.Hour, "pt10s": 10 * time.Second,
	} {
		if got, err := isoDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "P", "PT", "soon", "1H", "P1H", "PT1D", "P1DT"} {
		if d, err := isoDuration(text); err == nil {
			t.Errorf("%q is taken: %v", text, d)
		}
	}
}

func TestDateTimes(t *testing.T) {
	want := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	for _, text := range []string{"2026-01-02T03:04:05.678", "2026-01-02T03:04:05.678Z", "2026-01-02T05:04:05.678+02:00", "2026-01-02T05:04:05.678+0200", "2026-01-02T05:04:05.678+02"} {
		if got, err := dateTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := dateTime("yesterday"); err == nil {
		t.Error("yesterday is taken")
	}
}
