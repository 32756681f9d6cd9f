//go:build race

package hostile

// raceCost is by how much the race detector multiplies the memory and the time of the process it watches, at the most.
const raceCost = 4
