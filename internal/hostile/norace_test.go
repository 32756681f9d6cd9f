//go:build !race

package hostile

const raceCost, raceMemory = 1, 1
