package history

import "slices"

// Copied judges a loop that copies records from partition to partition of the same number, in transactions that hold the copies and
// the offsets read: in the end each record of the input is in the output once, and in the input's order. Both are what a final reader
// with isolation.level=read_committed was given, by partition.
func Copied(input, output map[int32][]Value) Verdict {
	found := Verdict{}
	for partition, in := range input {
		place := make(map[Value]int, len(in))
		for i, v := range in {
			place[v] = i
		}
		copies := make([]int, len(in))
		last := -1
		for _, v := range output[partition] {
			i, ok := place[v]
			if !ok {
				found.add(Phantom, "partition %d of the output holds %v, which is not in the input", partition, v)
				continue
			}
			if copies[i]++; copies[i] == 2 {
				found.add(ProcessedTwice, "partition %d: %v was copied twice", partition, v)
			}
			if i < last && copies[i] == 1 {
				found.add(NonmonotonicSend, "partition %d: the copy of %v lies behind that of %v", partition, v, in[last])
			}
			last = max(last, i)
		}
		for i, n := range copies {
			if n == 0 {
				found.add(NeverProcessed, "partition %d: %v was not copied", partition, in[i])
			}
		}
	}
	for partition, out := range output {
		if _, ok := input[partition]; !ok && len(out) > 0 {
			found.add(Phantom, "partition %d of the output holds %v; the input's is empty", partition, slices.Min(out))
		}
	}
	return found
}
