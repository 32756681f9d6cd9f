//go:build !unix

package hostile

func limitFiles(uint64) {}
