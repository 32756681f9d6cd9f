//go:build race

package hostile

// raceCost is by how much the race detector multiplies the memory of the process it watches.
const raceCost = 4
