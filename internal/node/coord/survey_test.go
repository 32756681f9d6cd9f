package coord_test

import (
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/node/groups"
)

func survey(t *testing.T, r *groups.Groups, most int) groups.Survey {
	t.Helper()
	s, err := r.Survey(t.Context(), most)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASurveyTellsStatesMembersAndWhatIsCommitted(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, _ *memLog) {
		for _, p := range []int32{1, 0} {
			if err := commit(t, r, "alone", p, int64(10+p)); err != nil {
				t.Fatal(err)
			}
		}
		j := join(t, r, "crew", "")
		sync1(t, r, "crew", j)
		s := survey(t, r, 100)
		if len(s.Groups) != 2 || s.Left != 0 || s.Loading != 0 {
			t.Fatalf("%+v", s)
		}
		alone, crew := s.Groups[0], s.Groups[1]
		at := func(p int32, off kafka.Offset) group.Position {
			return group.Position{Partition: kafka.TopicPartition{Topic: "t", Partition: p}, Offset: off}
		}
		if alone.ID != "alone" || alone.State != "Empty" || alone.Members != 0 || len(alone.Offsets) != 2 ||
			alone.Offsets[0] != at(0, 10) || alone.Offsets[1] != at(1, 11) {
			t.Errorf("%+v", alone)
		}
		if crew.ID != "crew" || crew.State != "Stable" || crew.Members != 1 || len(crew.Offsets) != 0 {
			t.Errorf("%+v", crew)
		}
	})
}

func TestASurveyIsBoundedByOffsetsAndTellsWhoIsLeftOut(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, _ *memLog) {
		for _, g := range []string{"a", "b", "c"} {
			for p := range int32(2) {
				if err := commit(t, r, g, p, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := survey(t, r, 5)
		if len(s.Groups) != 3 || len(s.Groups[0].Offsets) != 2 || len(s.Groups[1].Offsets) != 2 || s.Groups[2].Offsets != nil || s.Left != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestASurveyPassesOverWhatIsNotLed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *groups.Groups, _ *memLog) {
		if err := commit(t, r, "a", 0, 1); err != nil {
			t.Fatal(err)
		}
		r.Resign(0)
		if s := survey(t, r, 5); len(s.Groups) != 0 {
			t.Errorf("%+v", s)
		}
	})
}
