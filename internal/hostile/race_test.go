//go:build race

package hostile

// raceCost is by how much the race detector multiplies the time of the process it watches, at the most, and raceMemory its
// memory: its documentation has 5 to 10 times, of which less than 3 was measured here.
const (
	raceCost   = 4
	raceMemory = 6
)
