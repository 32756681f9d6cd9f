package api

import (
	"io"

	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/node/transport"
)

// fetchResponse is a Fetch answer whose records are still in the segment files: bytes, then a file's part, then bytes. It is
// written here and not by kmsg, which would want the records in memory.
type fetchResponse struct {
	code    int16 // of the whole answer
	bytes   []byte
	size    int
	pieces  []transport.Piece
	results []fetchResult
}

// fetchError is an answer without partitions.
func fetchError(version, code int16) *fetchResponse {
	return newFetchResponse(version, code, noSession, nil)
}

func newFetchResponse(version, code int16, session int32, results []fetchResult) *fetchResponse {
	r := &fetchResponse{code: code, results: results}
	w := fetchWriter{version: version, flexible: version >= 12}
	w.b = make([]byte, 0, 64+96*len(results))
	w.response(code, session, results)
	r.bytes, r.size = w.b, len(w.b)
	r.cut(w.cuts)
	return r
}

// cut splits the bytes where records belong.
func (r *fetchResponse) cut(cuts []recordsAt) {
	from, n := 0, 1
	for _, c := range cuts {
		n += len(c.result.plan.Slices)
	}
	r.pieces = make([]transport.Piece, 0, n)
	for _, c := range cuts {
		head := r.bytes[from:c.at]
		from = c.at
		for _, s := range c.result.plan.Slices {
			r.pieces = append(r.pieces, transport.Piece{Bytes: head, File: s.File, OS: vfs.OSFile(s.File), Off: s.Off, Len: s.Len})
			r.size += s.Len
			head = nil
		}
	}
	r.pieces = append(r.pieces, transport.Piece{Bytes: r.bytes[from:]})
}

// Size is the length of the body.
func (r *fetchResponse) Size() int { return r.size }

// Pieces are the body.
func (r *fetchResponse) Pieces() []transport.Piece { return r.pieces }

// Release lets the segments go.
func (r *fetchResponse) Release() {
	for i := range r.results {
		r.results[i].release()
	}
}

// AppendTo reads the whole body into memory; connections send the Pieces instead. Records that cannot be read any more
// are zeros.
func (r *fetchResponse) AppendTo(dst []byte) []byte {
	for _, p := range r.pieces {
		dst = append(dst, p.Bytes...)
		if p.Len > 0 {
			at := len(dst)
			dst = append(dst, make([]byte, p.Len)...)
			_, _ = io.ReadFull(io.NewSectionReader(p.File, p.Off, int64(p.Len)), dst[at:])
		}
	}
	return dst
}

// recordsAt is where a result's records go: before bytes[at].
type recordsAt struct {
	at     int
	result *fetchResult
}

// fetchWriter writes the fields of FetchResponse, versions 4 to 18.
type fetchWriter struct {
	version  int16
	flexible bool
	b        []byte
	cuts     []recordsAt
}

func (w *fetchWriter) response(code int16, session int32, results []fetchResult) {
	w.b = kbin.AppendInt32(w.b, 0) // throttle time
	if w.version >= 7 {
		w.b = kbin.AppendInt16(w.b, code)
		w.b = kbin.AppendInt32(w.b, session)
	}
	topics := topicRuns(results)
	w.array(len(topics))
	for _, t := range topics {
		w.topic(t)
	}
	w.endpoints(results)
}

// topicRuns splits results where the topic changes: the order of partitions is that of their turns, not of their topics.
func topicRuns(results []fetchResult) [][]fetchResult {
	var runs [][]fetchResult
	from := 0
	for i := range results {
		last := i+1 == len(results)
		if last || results[i].want.key.id != results[i+1].want.key.id || results[i].want.key.topic != results[i+1].want.key.topic {
			runs = append(runs, results[from:i+1])
			from = i + 1
		}
	}
	return runs
}

func (w *fetchWriter) topic(results []fetchResult) {
	k := &results[0].want.key
	switch {
	case w.version >= fetchTopicIDs:
		w.b = append(w.b, k.id[:]...)
	case w.flexible:
		w.b = kbin.AppendCompactString(w.b, k.topic)
	default:
		w.b = kbin.AppendString(w.b, k.topic)
	}
	w.array(len(results))
	for i := range results {
		w.partition(&results[i])
	}
	w.noTags()
}

func (w *fetchWriter) partition(r *fetchResult) {
	w.b = kbin.AppendInt32(w.b, r.want.key.partition)
	w.b = kbin.AppendInt16(w.b, r.code)
	w.b = kbin.AppendInt64(w.b, r.highWatermark)
	w.b = kbin.AppendInt64(w.b, r.lso)
	if w.version >= 5 {
		w.b = kbin.AppendInt64(w.b, r.logStart)
	}
	w.aborted(r)
	if w.version >= 11 {
		w.b = kbin.AppendInt32(w.b, int32(r.preferred))
	}
	if w.flexible {
		w.b = kbin.AppendUvarint(w.b, uint32(r.plan.Bytes)+1)
	} else {
		w.b = kbin.AppendInt32(w.b, int32(r.plan.Bytes))
	}
	if r.plan.Bytes > 0 {
		w.cuts = append(w.cuts, recordsAt{len(w.b), r})
	}
	w.partitionTags(r)
}

// aborted writes the aborted transactions; they are null for a client that reads what is not committed.
func (w *fetchWriter) aborted(r *fetchResult) {
	if !r.committed {
		if w.flexible {
			w.b = append(w.b, 0)
		} else {
			w.b = kbin.AppendInt32(w.b, -1)
		}
		return
	}
	w.array(len(r.aborted))
	for _, t := range r.aborted {
		w.b = kbin.AppendInt64(w.b, int64(t.ProducerID))
		w.b = kbin.AppendInt64(w.b, int64(t.First))
		w.noTags()
	}
}

// partitionTags writes the tagged fields: 0 the diverging epoch, 1 the current leader.
func (w *fetchWriter) partitionTags(r *fetchResult) {
	if !w.flexible {
		return
	}
	n := uint32(0)
	if r.diverging != nil {
		n++
	}
	if r.leader != nil {
		n++
	}
	w.b = kbin.AppendUvarint(w.b, n)
	if d := r.diverging; d != nil {
		w.b = append(w.b, 0, 13)
		w.b = kbin.AppendInt32(w.b, int32(d.Epoch))
		w.b = kbin.AppendInt64(w.b, int64(d.End))
		w.b = append(w.b, 0)
	}
	if l := r.leader; l != nil {
		w.b = append(w.b, 1, 9)
		w.b = kbin.AppendInt32(w.b, int32(l.leader))
		w.b = kbin.AppendInt32(w.b, int32(l.epoch))
		w.b = append(w.b, 0)
	}
}

// endpoints writes the tagged field 0 of the response: where the leaders are that partitions named.
func (w *fetchWriter) endpoints(results []fetchResult) {
	if !w.flexible {
		return
	}
	var leaders []*leaderHint
	for i := range results {
		if l := results[i].leader; l != nil && l.host != "" && !named(leaders, l) {
			leaders = append(leaders, l)
		}
	}
	if len(leaders) == 0 {
		w.b = append(w.b, 0)
		return
	}
	field := kbin.AppendCompactArrayLen(nil, len(leaders))
	for _, l := range leaders {
		field = kbin.AppendInt32(field, int32(l.leader))
		field = kbin.AppendCompactString(field, l.host)
		field = kbin.AppendInt32(field, l.port)
		field = kbin.AppendCompactNullableString(field, l.rack)
		field = append(field, 0)
	}
	w.b = append(w.b, 1, 0)
	w.b = kbin.AppendUvarint(w.b, uint32(len(field)))
	w.b = append(w.b, field...)
}

func named(leaders []*leaderHint, l *leaderHint) bool {
	for _, o := range leaders {
		if o.leader == l.leader {
			return true
		}
	}
	return false
}

func (w *fetchWriter) array(n int) {
	if w.flexible {
		w.b = kbin.AppendCompactArrayLen(w.b, n)
		return
	}
	w.b = kbin.AppendArrayLen(w.b, n)
}

func (w *fetchWriter) noTags() {
	if w.flexible {
		w.b = append(w.b, 0)
	}
}
