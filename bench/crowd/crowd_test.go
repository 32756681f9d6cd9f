package crowd

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestACrowdProducesAndReadsItAll(t *testing.T) {
	topics := []string{"a", "b"}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	c, err := Gather(t.Context(), cluster.ListenAddrs()[0], Load{Idle: 20, Producers: 6, Every: 5 * time.Millisecond, RecordSize: 10, Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		produced, consumed, err := c.Count()
		if err != nil {
			t.Fatal(err)
		}
		if produced > 100 && consumed > 100 {
			break
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the crowd does nothing")
		}
	}
	if err := c.Leave(); err != nil {
		t.Fatal(err)
	}
}

func TestACrowdNeedsABroker(t *testing.T) {
	if _, err := Gather(t.Context(), "127.0.0.1:1", Load{Idle: 1}); err == nil {
		t.Error("idle connections to nowhere")
	}
}
