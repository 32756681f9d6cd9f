package kcat

import "hash/crc32"

// consistent is the choice of partitions that librdkafka has by default, so that records of a key go where kcat sends them.
func consistent(key []byte, partitions int) int {
	return int(crc32.ChecksumIEEE(key) % uint32(partitions))
}
