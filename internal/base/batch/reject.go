package batch

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/kafka"
)

// rejections collects the errors of single records. It allocates with the first.
type rejections struct {
	errors     []RecordError
	timestamps bool // one of them is a timestamp's
}

// maxRecordErrors bounds the memory that a batch of millions of wrong records costs; clients fail the whole batch anyway.
const maxRecordErrors = 8192

func (j *rejections) noKey(index int32) {
	j.add(index, "the topic is compacted and takes no record without a key")
}

func (j *rejections) timestamp(index int32, ts int64, w *timestampWindow) {
	j.timestamps = true
	if len(j.errors) >= maxRecordErrors {
		return
	}
	if w.checked && ts != kafka.NoTimestamp {
		j.add(index, fmt.Sprintf("timestamp %d is more than %d ms before or %d ms after %d", ts, w.before, w.after, w.now))
		return
	}
	j.add(index, "a producer may not set the timestamp type LogAppendTime")
}

func (j *rejections) add(index int32, message string) {
	if len(j.errors) < maxRecordErrors {
		j.errors = append(j.errors, RecordError{Index: index, Message: message})
	}
}

// err is nil, or the error for all of them: a wrong timestamp outweighs a missing key.
func (j *rejections) err() error {
	switch {
	case len(j.errors) == 0:
		return nil
	case j.timestamps:
		return &RecordErrors{Errors: j.errors, Message: "records were rejected because of their timestamps", Err: kerr.InvalidTimestamp}
	}
	return &RecordErrors{Errors: j.errors, Message: "records were rejected", Err: kerr.InvalidRecord}
}
