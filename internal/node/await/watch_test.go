package await

import (
	"sync"
	"sync/atomic"
	"testing"
)

func rings(w *Watch) bool {
	select {
	case <-w.Bell():
		return true
	default:
		return false
	}
}

func TestWatchTellsWhichPlacesHaveNews(t *testing.T) {
	w := NewWatch()
	places := make([]Place, 5)
	for i := range places {
		places[i].Watched(w, i, false)
	}
	places[3].Note()
	places[1].Note()
	places[3].Note()
	if !rings(w) || rings(w) {
		t.Fatal("the bell rings other than once for what was not taken")
	}
	got := w.Take(nil)
	if len(got) != 2 || got[0].Owner != 3 || got[1].Owner != 1 {
		t.Fatalf("took %v", got)
	}
	if got := w.Take(got[:0]); len(got) != 0 {
		t.Fatalf("took %v again", got)
	}
	places[3].Note()
	if !rings(w) || len(w.Take(nil)) != 1 {
		t.Fatal("news after the take is lost")
	}
}

func TestHintWaitsForTheBellOfOthers(t *testing.T) {
	w := NewWatch()
	var quiet, keen Place
	quiet.Watched(w, "quiet", false)
	keen.Watched(w, "keen", true)
	quiet.Hint()
	if rings(w) {
		t.Fatal("a hint rang")
	}
	quiet.Note() // noted already, but nobody was woken for it
	if !rings(w) {
		t.Fatal("a note after a hint did not ring")
	}
	if got := w.Take(nil); len(got) != 1 {
		t.Fatalf("took %v", got)
	}
	keen.Hint()
	if !rings(w) {
		t.Fatal("a keen place's hint did not ring")
	}
}

// Every value that is there before a Note is seen by the reader after the Take that follows.
func TestNewsIsNeverLostBetweenNoteAndTake(t *testing.T) {
	const writers, values = 4, 5000
	w := NewWatch()
	var ends [writers]atomic.Int64
	places := make([]Place, writers)
	var wg sync.WaitGroup
	for i := range places {
		places[i].Watched(w, i, false)
	}
	for i := range places {
		wg.Go(func() {
			for range values {
				ends[i].Add(1)
				places[i].Note()
			}
		})
	}
	var seen [writers]int64
	var taken []*Place
	for done := 0; done < writers; {
		<-w.Bell()
		taken = w.Take(taken[:0])
		for _, p := range taken {
			i := p.Owner.(int)
			was := seen[i]
			seen[i] = ends[i].Load()
			if was < values && seen[i] == values {
				done++
			}
		}
	}
	wg.Wait()
}
