//go:build !race

package hostile

const raceCost = 1
