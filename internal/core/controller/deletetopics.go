package controller

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// deleteTopics takes names (versions 1 to 5) or names and ids (6). Kafka answers what is malformed or named twice first,
// then what was found; so do we, each in the order of the request.
func (s *step) deleteTopics(req *kmsg.DeleteTopicsRequest) *kmsg.DeleteTopicsResponse {
	d := &deletion{step: s, resp: req.ResponseKind().(*kmsg.DeleteTopicsResponse)}
	var names []string
	var ids []kafka.TopicID
	names = append(names, req.TopicNames...)
	for i := range req.Topics {
		switch t := &req.Topics[i]; {
		case t.Topic == nil && t.TopicID == [16]byte{}:
			d.refuse(nil, kafka.TopicID{}, problem(kerr.InvalidRequest, "Neither topic name nor id were specified."))
		case t.Topic == nil:
			ids = append(ids, t.TopicID)
		case t.TopicID == [16]byte{}:
			names = append(names, *t.Topic)
		default:
			d.refuse(t.Topic, t.TopicID, problem(kerr.InvalidRequest, "You may not specify both topic name and topic id."))
		}
	}
	onceNames, twiceNames := unique(len(names), func(i int) string { return names[i] })
	onceIDs, twiceIDs := unique(len(ids), func(i int) string { return string(ids[i][:]) })
	for _, name := range twiceNames {
		d.refuse(&name, kafka.TopicID{}, problem(kerr.InvalidRequest, "Duplicate topic name."))
	}
	taken := map[kafka.TopicID]bool{}
	for _, raw := range twiceIDs {
		id := kafka.TopicID([]byte(raw))
		taken[id] = true
		d.refuse(nil, id, problem(kerr.InvalidRequest, "Duplicate topic id."))
	}
	var doomed []*metadata.Topic
	for _, i := range onceIDs {
		t, ok := s.img.TopicByID(ids[i])
		if !ok {
			d.refuse(nil, ids[i], problem(kerr.UnknownTopicID, "%s", kerr.UnknownTopicID.Description))
			continue
		}
		doomed = append(doomed, t)
	}
	for _, i := range onceNames {
		t, ok := s.img.Topic(names[i])
		if !ok {
			d.refuse(&names[i], kafka.TopicID{}, problem(kerr.UnknownTopicOrPartition, "%s", kerr.UnknownTopicOrPartition.Description))
			continue
		}
		doomed = append(doomed, t)
	}
	d.remove(doomed, taken)
	return d.resp
}

type deletion struct {
	step *step
	resp *kmsg.DeleteTopicsResponse
}

// remove deletes the topics, but those that the request named twice: by their id and by their name.
func (d *deletion) remove(topics []*metadata.Topic, taken map[kafka.TopicID]bool) {
	count := map[kafka.TopicID]int{}
	for _, t := range topics {
		count[t.ID]++
	}
	for _, t := range topics {
		switch {
		case count[t.ID] == 0: // told already
		case count[t.ID] > 1 || taken[t.ID]:
			count[t.ID] = 0
			d.refuse(&t.Name, t.ID, problem(kerr.InvalidRequest, "The provided topic name maps to an ID that was already supplied."))
		default:
			d.step.add(&metadata.RemoveTopicRecord{ID: t.ID})
			r := kmsg.NewDeleteTopicsResponseTopic()
			r.Topic, r.TopicID = &t.Name, t.ID
			d.resp.Topics = append(d.resp.Topics, r)
		}
	}
}

func (d *deletion) refuse(name *string, id kafka.TopicID, p *Problem) {
	r := kmsg.NewDeleteTopicsResponseTopic()
	r.Topic, r.TopicID = name, id
	r.ErrorCode, r.ErrorMessage = p.Code.Code, p.message()
	d.resp.Topics = append(d.resp.Topics, r)
}
