package sharestate

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/share/state"
)

// Requests to share coordinators, and their answers, are lists of topics with partitions in them: here they are taken apart
// and put together by partition.

// part is the topics with those partitions that keep wants.
func part[T, P any](topics []T, open func(*T) (kafka.TopicID, *[]P), number func(*P) int32, keep func(kafka.TopicID, int32) bool) []T {
	var out []T
	for _, topic := range topics {
		id, partitions := open(&topic)
		var kept []P
		for i := range *partitions {
			if p := &(*partitions)[i]; keep(id, number(p)) {
				kept = append(kept, *p)
			}
		}
		if len(kept) > 0 {
			*partitions = kept
			out = append(out, topic)
		}
	}
	return out
}

// join adds topics to those that are there already, each once.
func join[T, P any](to *[]T, topics []T, open func(*T) (kafka.TopicID, *[]P)) {
	for _, topic := range topics {
		id, partitions := open(&topic)
		found := false
		for i := range *to {
			if is, has := open(&(*to)[i]); is == id {
				*has, found = append(*has, *partitions...), true
				break
			}
		}
		if !found {
			*to = append(*to, topic)
		}
	}
}

// only is the request for those partitions that keep wants.
func only(req kmsg.Request, keep func(state.Key) bool) kmsg.Request {
	of := func(group string) func(kafka.TopicID, int32) bool {
		return func(id kafka.TopicID, p int32) bool { return keep(state.Key{Group: group, Topic: id, Partition: p}) }
	}
	switch req := req.(type) {
	case *kmsg.InitializeShareGroupStateRequest:
		one := *req
		one.Topics = part(req.Topics, func(t *kmsg.InitializeShareGroupStateRequestTopic) (kafka.TopicID, *[]kmsg.InitializeShareGroupStateRequestTopicPartition) {
			return t.TopicID, &t.Partitions
		}, func(p *kmsg.InitializeShareGroupStateRequestTopicPartition) int32 { return p.Partition }, of(req.GroupID))
		return &one
	case *kmsg.ReadShareGroupStateRequest:
		one := *req
		one.Topics = part(req.Topics, func(t *kmsg.ReadShareGroupStateRequestTopic) (kafka.TopicID, *[]kmsg.ReadShareGroupStateRequestTopicPartition) {
			return t.TopicID, &t.Partitions
		}, func(p *kmsg.ReadShareGroupStateRequestTopicPartition) int32 { return p.Partition }, of(req.GroupID))
		return &one
	case *kmsg.WriteShareGroupStateRequest:
		one := *req
		one.Topics = part(req.Topics, func(t *kmsg.WriteShareGroupStateRequestTopic) (kafka.TopicID, *[]kmsg.WriteShareGroupStateRequestTopicPartition) {
			return t.TopicID, &t.Partitions
		}, func(p *kmsg.WriteShareGroupStateRequestTopicPartition) int32 { return p.Partition }, of(req.GroupID))
		return &one
	case *kmsg.DeleteShareGroupStateRequest:
		one := *req
		one.Topics = part(req.Topics, func(t *kmsg.DeleteShareGroupStateRequestTopic) (kafka.TopicID, *[]kmsg.DeleteShareGroupStateRequestTopicPartition) {
			return t.TopicID, &t.Partitions
		}, func(p *kmsg.DeleteShareGroupStateRequestTopicPartition) int32 { return p.Partition }, of(req.GroupID))
		return &one
	case *kmsg.ReadShareGroupStateSummaryRequest:
		one := *req
		one.Topics = part(req.Topics, func(t *kmsg.ReadShareGroupStateSummaryRequestTopic) (kafka.TopicID, *[]kmsg.ReadShareGroupStateSummaryRequestTopicPartition) {
			return t.TopicID, &t.Partitions
		}, func(p *kmsg.ReadShareGroupStateSummaryRequestTopicPartition) int32 { return p.Partition }, of(req.GroupID))
		return &one
	}
	return req
}

// keysOf lists what a request is about.
func keysOf(req kmsg.Request) (keys []state.Key) {
	only(req, func(k state.Key) bool {
		keys = append(keys, k)
		return false
	})
	return keys
}

// merge adds to an answer what another says of the partitions for whose error code keep is true.
func merge(to, resp kmsg.Response, keep func(id kafka.TopicID, partition int32, code int16) bool) {
	switch to := to.(type) {
	case *kmsg.InitializeShareGroupStateResponse:
		open := func(t *kmsg.InitializeShareGroupStateResponseTopic) (kafka.TopicID, *[]kmsg.InitializeShareGroupStateResponseTopicPartition) {
			return t.TopicID, &t.Partitions
		}
		join(&to.Topics, answered(resp.(*kmsg.InitializeShareGroupStateResponse).Topics, open, func(p *kmsg.InitializeShareGroupStateResponseTopicPartition) (int32, int16) {
			return p.Partition, p.ErrorCode
		}, keep), open)
	case *kmsg.ReadShareGroupStateResponse:
		open := func(t *kmsg.ReadShareGroupStateResponseTopic) (kafka.TopicID, *[]kmsg.ReadShareGroupStateResponseTopicPartition) {
			return t.TopicID, &t.Partitions
		}
		join(&to.Topics, answered(resp.(*kmsg.ReadShareGroupStateResponse).Topics, open, func(p *kmsg.ReadShareGroupStateResponseTopicPartition) (int32, int16) {
			return p.Partition, p.ErrorCode
		}, keep), open)
	case *kmsg.WriteShareGroupStateResponse:
		open := func(t *kmsg.WriteShareGroupStateResponseTopic) (kafka.TopicID, *[]kmsg.WriteShareGroupStateResponseTopicPartition) {
			return t.TopicID, &t.Partitions
		}
		join(&to.Topics, answered(resp.(*kmsg.WriteShareGroupStateResponse).Topics, open, func(p *kmsg.WriteShareGroupStateResponseTopicPartition) (int32, int16) {
			return p.Partition, p.ErrorCode
		}, keep), open)
	case *kmsg.DeleteShareGroupStateResponse:
		open := func(t *kmsg.DeleteShareGroupStateResponseTopic) (kafka.TopicID, *[]kmsg.DeleteShareGroupStateResponseTopicPartition) {
			return t.TopicID, &t.Partitions
		}
		join(&to.Topics, answered(resp.(*kmsg.DeleteShareGroupStateResponse).Topics, open, func(p *kmsg.DeleteShareGroupStateResponseTopicPartition) (int32, int16) {
			return p.Partition, p.ErrorCode
		}, keep), open)
	case *kmsg.ReadShareGroupStateSummaryResponse:
		open := func(t *kmsg.ReadShareGroupStateSummaryResponseTopic) (kafka.TopicID, *[]kmsg.ReadShareGroupStateSummaryResponseTopicPartition) {
			return t.TopicID, &t.Partitions
		}
		join(&to.Topics, answered(resp.(*kmsg.ReadShareGroupStateSummaryResponse).Topics, open, func(p *kmsg.ReadShareGroupStateSummaryResponseTopicPartition) (int32, int16) {
			return p.Partition, p.ErrorCode
		}, keep), open)
	}
}

// answered is part, for answers: their partitions have error codes.
func answered[T, P any](topics []T, open func(*T) (kafka.TopicID, *[]P), about func(*P) (int32, int16), keep func(kafka.TopicID, int32, int16) bool) []T {
	code := make(map[int32]int16)
	return part(topics, open, func(p *P) int32 {
		n, c := about(p)
		code[n] = c
		return n
	}, func(id kafka.TopicID, n int32) bool { return keep(id, n, code[n]) })
}
