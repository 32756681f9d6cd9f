package group

import "testing"

func FuzzSubscribedTopics(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 3, 0, 0, 0, 2, 0, 1, 'a', 0, 1, 'b', 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		topics, err := subscribedTopics(b)
		size := 0
		for _, topic := range topics {
			size += 2 + len(topic)
		}
		if err == nil && size > len(b) {
			t.Fatalf("%d topics in %d bytes", len(topics), len(b))
		}
	})
}
