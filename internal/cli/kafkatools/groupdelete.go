package kafkatools

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (g *groupCall) delete() error {
	names, err := g.groups()
	if err != nil {
		return err
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	failed := map[string]error{}
	ctx, cancel := g.k.bounded(g.ctx)
	defer cancel()
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = names
	if len(names) > 0 {
		resp, err := req.RequestWith(ctx, g.k.Client)
		if err != nil {
			return err
		}
		for _, r := range resp.Groups {
			if err := ofCode(r.ErrorCode, nil); err != nil {
				failed[r.Group] = err
			}
		}
	}
	var gone []string
	for _, n := range names {
		if failed[n] == nil {
			gone = append(gone, "'"+n+"'")
		}
	}
	if len(failed) == 0 {
		g.printf("Deletion of requested consumer groups (%s) was successful.\n", strings.Join(gone, ", "))
		return nil
	}
	g.printError("Deletion of some consumer groups failed:")
	for _, n := range slices.Sorted(maps.Keys(failed)) {
		g.printf("* Group '%s' could not be deleted due to: %s\n", n, asFailure(failed[n]).named())
	}
	if gone != nil {
		g.printf("\nThese consumer groups were deleted successfully: %s\n", strings.Join(gone, ", "))
	}
	return nil
}

func (g *groupCall) deleteOffsets() error {
	group := g.line.text("group")
	results := map[topicPartition]error{}
	var partitions []topicPartition
	for _, arg := range g.line.all("topic") {
		some, err := []topicPartition(nil), error(nil)
		if strings.Contains(arg, ":") {
			if some, err = namedPartitions(arg); err != nil {
				return err
			}
		} else if some, err = g.named([]string{arg}); err != nil {
			results[topicPartition{arg, -1}] = err
		}
		partitions = append(partitions, some...)
	}
	overall, err := g.sendOffsetDelete(group, partitions, results)
	if err != nil {
		return err
	}
	g.printDeleted(group, overall, results)
	return nil
}

// sendOffsetDelete deletes and notes how it went in each partition. It returns what went wrong for the whole, or the first error
// of a partition.
func (g *groupCall) sendOffsetDelete(group string, partitions []topicPartition, results map[topicPartition]error) (overall, err error) {
	ctx, cancel := g.k.bounded(g.ctx)
	defer cancel()
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	byTopic := map[string][]kmsg.OffsetDeleteRequestTopicPartition{}
	for _, tp := range partitions {
		p := kmsg.NewOffsetDeleteRequestTopicPartition()
		p.Partition = tp.number
		byTopic[tp.topic] = append(byTopic[tp.topic], p)
		results[tp] = nil
	}
	for _, name := range slices.Sorted(maps.Keys(byTopic)) {
		t := kmsg.NewOffsetDeleteRequestTopic()
		t.Topic, t.Partitions = name, byTopic[name]
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, g.k.Client)
	if err != nil {
		return nil, err
	}
	if overall = ofCode(resp.ErrorCode, nil); overall != nil {
		for _, tp := range partitions {
			results[tp] = overall
		}
		return overall, nil
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			err := ofCode(p.ErrorCode, nil)
			results[topicPartition{t.Topic, p.Partition}] = err
			if overall == nil {
				overall = err
			}
		}
	}
	return overall, nil
}

func (g *groupCall) printDeleted(group string, overall error, results map[topicPartition]error) {
	switch {
	case overall == nil:
		g.printf("Request succeeded for deleting offsets from group %s.\n", group)
	case hasCode(overall, kerr.InvalidGroupID), hasCode(overall, kerr.GroupIDNotFound), hasCode(overall, kerr.GroupAuthorizationFailed), hasCode(overall, kerr.NonEmptyGroup):
		g.printError(asFailure(overall).text)
	case hasCode(overall, kerr.GroupSubscribedToTopic), hasCode(overall, kerr.TopicAuthorizationFailed), hasCode(overall, kerr.UnknownTopicOrPartition):
		g.printError("Encountered some partition-level error, see the follow-up details.")
	default:
		g.printError("Encountered some unknown error: " + asFailure(overall).text)
	}
	topic := 15
	for tp := range results {
		topic = max(topic, len(tp.topic))
	}
	g.printf("\n%-*s %-10s %-15s", topic, "TOPIC", "PARTITION", "STATUS")
	for _, tp := range slices.SortedFunc(maps.Keys(results), compare) {
		number, status := missing, "Successful"
		if tp.number >= 0 {
			number = strconv.Itoa(int(tp.number))
		}
		if err := results[tp]; err != nil {
			status = "Error: " + asFailure(err).named()
		}
		g.printf("\n%-*s %-10s %-15s", topic, tp.topic, number, status)
	}
	g.printf("\n")
}
