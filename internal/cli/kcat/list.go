package kcat

import (
	"fmt"
	"slices"
	"strings"

	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errorWords are errors as librdkafka calls them, where that is not the general description.
var errorWords = map[*kerr.Error]string{
	kerr.UnknownTopicOrPartition:  "Broker: Unknown topic or partition",
	kerr.LeaderNotAvailable:       "Broker: Leader not available",
	kerr.InvalidTopicException:    "Broker: Invalid topic",
	kerr.TopicAuthorizationFailed: "Broker: Topic authorization failed",
	kerr.GroupAuthorizationFailed: "Broker: Group authorization failed",
	kerr.OffsetOutOfRange:         "Broker: Offset out of range",
	kerr.MessageTooLarge:          "Broker: Message size too large",
}

func words(code int16) string {
	err := kerr.TypedErrorForCode(code)
	if err == nil {
		return ""
	}
	if w, ok := errorWords[err]; ok {
		return w
	}
	return "Broker: " + strings.TrimSuffix(err.Description, ".")
}

// list prints metadata.
func (r *run) list() error {
	if err := r.connect(); err != nil {
		return fatal("Failed to acquire metadata: %w (Are the brokers reachable? Also try increasing the metadata timeout with -m <timeout>?)", err)
	}
	defer r.client.Close()
	ctx, cancel := context.WithTimeout(r.ctx, r.o.metadataTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	if r.o.topic != "" {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(r.o.topic)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, r.client)
	if err != nil {
		return fatal("Failed to acquire metadata: %s", cause(err))
	}
	for _, t := range resp.Topics {
		slices.SortFunc(t.Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int { return int(a.Partition - b.Partition) })
	}
	from := kmsg.MetadataResponseBroker{NodeID: -1}
	if len(resp.Brokers) > 0 {
		from = resp.Brokers[0]
	}
	name := fmt.Sprintf("%s:%d/%d", from.Host, from.Port, from.NodeID)
	if r.o.json {
		r.listJSON(resp, from.NodeID, name)
	} else {
		r.listText(resp, from.NodeID, name)
	}
	return nil
}

func topicName(t kmsg.MetadataResponseTopic) string {
	if t.Topic == nil {
		return ""
	}
	return *t.Topic
}

func (r *run) listText(resp *kmsg.MetadataResponse, from int32, name string) {
	topic := r.o.topic
	if topic == "" {
		topic = "all topics"
	}
	fmt.Fprintf(r.out, "Metadata for %s (from broker %d: %s):\n %d brokers:\n", topic, from, name, len(resp.Brokers))
	for _, b := range resp.Brokers {
		controller := ""
		if b.NodeID == resp.ControllerID {
			controller = " (controller)"
		}
		fmt.Fprintf(r.out, "  broker %d at %s:%d%s\n", b.NodeID, b.Host, b.Port, controller)
	}
	fmt.Fprintf(r.out, " %d topics:\n", len(resp.Topics))
	for _, t := range resp.Topics {
		fmt.Fprintf(r.out, "  topic \"%s\" with %d partitions:", topicName(t), len(t.Partitions))
		if w := words(t.ErrorCode); w != "" {
			fmt.Fprintf(r.out, " %s", w)
			if t.ErrorCode == kerr.LeaderNotAvailable.Code {
				fmt.Fprint(r.out, " (try again)")
			}
		}
		fmt.Fprintln(r.out)
		for _, p := range t.Partitions {
			fmt.Fprintf(r.out, "    partition %d, leader %d, replicas: %s, isrs: %s", p.Partition, p.Leader, ids(p.Replicas, "%d", ","), ids(p.ISR, "%d", ","))
			if w := words(p.ErrorCode); w != "" {
				fmt.Fprintf(r.out, ", %s", w)
			}
			fmt.Fprintln(r.out)
		}
	}
}

func ids(all []int32, form, between string) string {
	parts := make([]string, len(all))
	for i, id := range all {
		parts[i] = fmt.Sprintf(form, id)
	}
	return strings.Join(parts, between)
}

func (r *run) listJSON(resp *kmsg.MetadataResponse, from int32, name string) {
	topic := r.o.topic
	if topic == "" {
		topic = "*"
	}
	var brokers, topics []string
	for _, b := range resp.Brokers {
		brokers = append(brokers, fmt.Sprintf(`{"id":%d,"name":%s}`, b.NodeID, quoted(fmt.Appendf(nil, "%s:%d", b.Host, b.Port))))
	}
	failed := func(code int16) string {
		if w := words(code); w != "" {
			return `"error":` + quoted([]byte(w)) + ","
		}
		return ""
	}
	for _, t := range resp.Topics {
		var partitions []string
		for _, p := range t.Partitions {
			partitions = append(partitions, fmt.Sprintf(`{"partition":%d,%s"leader":%d,"replicas":[%s],"isrs":[%s]}`, p.Partition, failed(p.ErrorCode), p.Leader,
				ids(p.Replicas, `{"id":%d}`, ","), ids(p.ISR, `{"id":%d}`, ",")))
		}
		topics = append(topics, fmt.Sprintf(`{"topic":%s,%s"partitions":[%s]}`, quoted([]byte(topicName(t))), failed(t.ErrorCode), strings.Join(partitions, ",")))
	}
	fmt.Fprintf(r.out, `{"originating_broker":{"id":%d,"name":%s},"query":{"topic":%s},"controllerid":%d,"brokers":[%s],"topics":[%s]}`,
		from, quoted([]byte(name)), quoted([]byte(topic)), resp.ControllerID, strings.Join(brokers, ","), strings.Join(topics, ","))
}

// query prints the offsets of -Q.
func (r *run) query() error {
	if err := r.connect(); err != nil {
		return fatal("offsets_for_times failed: %w", err)
	}
	defer r.client.Close()
	type answer struct {
		topicOffset
		failed string
	}
	var all []answer
	for _, q := range r.o.queries {
		found, code, err := r.offsetAt(q.topic, q.partition, q.offset)
		if err != nil {
			return fatal("offsets_for_times failed: %s", cause(err))
		}
		if code == 0 && found < 0 {
			found = atEnd
		}
		all = append(all, answer{topicOffset{q.topic, q.partition, found}, words(code)})
	}
	slices.SortFunc(all, func(a, b answer) int {
		if c := strings.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return int(a.partition - b.partition)
	})
	if r.o.json {
		last := ""
		r.out.WriteString("{")
		for i, a := range all {
			switch {
			case a.topic != last && i > 0:
				r.out.WriteString("},")
			case i > 0:
				r.out.WriteString(",")
			}
			if a.topic != last {
				fmt.Fprintf(r.out, `%s:{"topic":%s,`, quoted([]byte(a.topic)), quoted([]byte(a.topic)))
				last = a.topic
			}
			fmt.Fprintf(r.out, `"%d":{"partition":%d,"offset":%d`, a.partition, a.partition, a.offset)
			if a.failed != "" {
				fmt.Fprintf(r.out, `,"error":%s`, quoted([]byte(a.failed)))
			}
			r.out.WriteString("}")
		}
		if last != "" {
			r.out.WriteString("}")
		}
		r.out.WriteString("}")
		return nil
	}
	for _, a := range all {
		fmt.Fprintf(r.out, "%s [%d] offset %d", a.topic, a.partition, a.offset)
		if a.failed != "" {
			fmt.Fprintf(r.out, ": %s", a.failed)
		}
		fmt.Fprintln(r.out)
	}
	return nil
}

// offsetAt asks for the offset of a time, or of a place.
func (r *run) offsetAt(topic string, partition int32, at int64) (offset int64, code int16, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.o.metadataTimeout)
	defer cancel()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	if r.o.props.or("isolation.level", "read_committed") == "read_committed" {
		req.IsolationLevel = 1
	}
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch = partition, at, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, r.client)
	if err != nil {
		return 0, 0, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			return p.Offset, p.ErrorCode, nil
		}
	}
	return atEnd, 0, nil
}
