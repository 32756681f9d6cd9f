package api

import (
	"cmp"
	"context"
	"slices"

	"github.com/headrace/headrace/internal/node/transport"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func sorted(t []Entry) []Entry {
	slices.SortFunc(t, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	return t
}

// operations makes what transport runs of the table: one Op a key and version, so that a lookup is all there is to the
// version check.
func (s *Server) operations() map[opKey]transport.Op {
	ops := map[opKey]transport.Op{}
	for _, e := range s.entries {
		count := s.failuresOf(e.Key)
		for v := e.Min; v <= e.Max; v++ {
			ops[opKey{int16(e.Key), v}] = operation(e, v, count)
		}
	}
	unknown := operation(Entry{Key: kmsg.ApiVersions, Handle: s.apiVersionsUnknown}, maxApiVersions, s.failuresOf(kmsg.ApiVersions))
	unknown.Weight = nil
	unknown.Decode = func(int16, []byte) (kmsg.Request, error) { return kmsg.NewPtrApiVersionsRequest(), nil }
	ops[opKey{int16(kmsg.ApiVersions), maxApiVersions + 1}] = unknown
	return ops
}

// operation makes the Op of one version; count is shown each answer that Handle makes.
func operation(e Entry, version int16, count func(Response)) transport.Op {
	probe := kmsg.RequestForKey(int16(e.Key))
	probe.SetVersion(version)
	op := transport.Op{
		Flexible:   probe.IsFlexible(),
		PlainReply: e.Key == kmsg.ApiVersions,
		Weight:     weigher(int16(e.Key)),
		Decode:     decoder(e.Key),
		Begin:      e.Begin,
	}
	if h := e.Handle; h != nil {
		op.Handle = func(ctx context.Context, c *Call) Response {
			r := h(ctx, c) // it may lower c.Version: the answer to an unknown ApiVersions is in v0
			count(r)
			return conform(r, c.Version)
		}
	}
	return op
}

func decoder(key kmsg.Key) func(int16, []byte) (kmsg.Request, error) {
	return func(version int16, body []byte) (kmsg.Request, error) {
		r := kmsg.RequestForKey(int16(key))
		r.SetVersion(version)
		return r, r.ReadFrom(body)
	}
}

// conform sets an answer's version and clears the tagged fields that do not exist at it: kmsg writes a set tagged field
// at any flexible version, and Java clients throw away an answer with a tag they do not expect.
func conform(r Response, version int16) Response {
	k, ok := r.(kmsg.Response)
	if !ok {
		return r
	}
	k.SetVersion(version)
	if p, ok := k.(*kmsg.ProduceResponse); ok && version < 10 {
		p.Brokers = nil
		for i := range p.Topics {
			for j := range p.Topics[i].Partitions {
				p.Topics[i].Partitions[j].CurrentLeader = kmsg.NewProduceResponseTopicPartitionCurrentLeader()
			}
		}
	}
	return k
}
