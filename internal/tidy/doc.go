// Package tidy holds the house rules as tests: which package may import which (deps.txt), one package comment each, no
// init functions, no state in package variables, no clocks, chance or goroutines in the pure layers. It has no code of its
// own and nobody imports it.
package tidy
