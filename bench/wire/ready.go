package wire

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// askAgain is the pause between two attempts at a broker that does not serve yet.
const askAgain = 2 * time.Millisecond

// Probe is what a broker must do to count as ready.
type Probe struct {
	Topic      string
	Partitions int32
	Create     bool // the topic is made by the probe; otherwise it is there and partition 0 holds records
}

// Ready tells when a broker did what a Probe wants.
type Ready struct {
	Metadata time.Time // a Metadata request was answered, with a node in it
	Serves   time.Time // partition 0 of the topic took a record and gave one
	All      time.Time // every partition of the topic told its end
}

// Await asks the broker at address until it has done all that p wants, or ctx is done. The steps are in the order of Ready; each is
// repeated until it succeeds.
func Await(ctx context.Context, address string, p Probe) (Ready, error) {
	a := &asker{ctx: ctx, address: address, pause: askAgain}
	defer a.close()
	var r Ready
	for _, step := range []struct {
		name string
		do   func(*Conn) error
		at   *time.Time
	}{
		{"metadata", metadata, &r.Metadata},
		{"create topic", p.create, nil},
		{"produce", p.produce, nil},
		{"fetch", p.fetch, &r.Serves},
		{"list offsets", p.listEnds, &r.All},
	} {
		if err := a.until(step.do); err != nil {
			return r, fmt.Errorf("%s: %w", step.name, err)
		}
		if step.at != nil {
			*step.at = time.Now()
		}
	}
	return r, nil
}

// asker keeps a connection and makes a new one after a failure.
type asker struct {
	ctx     context.Context // of one call of Await
	address string
	pause   time.Duration // between two attempts
	conn    *Conn
}

func (a *asker) close() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}

func (a *asker) until(do func(*Conn) error) error {
	for {
		err := a.once(do)
		if err == nil {
			return nil
		}
		a.close()
		select {
		case <-a.ctx.Done():
			return fmt.Errorf("%w; the last answer was: %w", a.ctx.Err(), err)
		case <-time.After(a.pause):
		}
	}
}

func (a *asker) once(do func(*Conn) error) error {
	if a.conn == nil {
		conn, err := Dial(a.ctx, a.address)
		if err != nil {
			return err
		}
		a.conn = conn
	}
	return do(a.conn)
}

func metadata(c *Conn) error {
	m, err := describe(c, []kmsg.MetadataRequestTopic{})
	if err == nil && len(m.Brokers) == 0 {
		err = fmt.Errorf("no node is registered")
	}
	return err
}

func (p Probe) create(c *Conn) error {
	if !p.Create {
		return nil
	}
	r := kmsg.NewPtrCreateTopicsRequest()
	r.Version = 7
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = p.Topic, p.Partitions, 1
	r.Topics = append(r.Topics, t)
	got, err := c.Ask(r)
	if err != nil {
		return err
	}
	for _, t := range got.(*kmsg.CreateTopicsResponse).Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && err != kerr.TopicAlreadyExists {
			return err
		}
	}
	return nil
}

func (p Probe) produce(c *Conn) error {
	r := kmsg.NewPtrProduceRequest()
	r.Version, r.Acks, r.TimeoutMillis = 9, -1, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = p.Topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = oneRecord([]byte("ready?"), time.Now())
	t.Partitions = append(t.Partitions, part)
	r.Topics = append(r.Topics, t)
	got, err := c.Ask(r)
	if err != nil {
		return err
	}
	for _, t := range got.(*kmsg.ProduceResponse).Topics {
		for _, part := range t.Partitions {
			return kerr.ErrorForCode(part.ErrorCode)
		}
	}
	return fmt.Errorf("an answer without the partition")
}

func (p Probe) fetch(c *Conn) error {
	r := kmsg.NewPtrFetchRequest()
	r.Version, r.ReplicaID, r.MaxWaitMillis, r.MinBytes, r.MaxBytes = 12, -1, 100, 1, 1<<20
	r.SessionEpoch = -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = p.Topic
	part := kmsg.NewFetchRequestTopicPartition()
	part.PartitionMaxBytes, part.CurrentLeaderEpoch, part.LastFetchedEpoch = 1<<20, -1, -1
	t.Partitions = append(t.Partitions, part)
	r.Topics = append(r.Topics, t)
	got, err := c.Ask(r)
	if err != nil {
		return err
	}
	for _, t := range got.(*kmsg.FetchResponse).Topics {
		for _, part := range t.Partitions {
			if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
				return err
			}
			if len(part.RecordBatches) > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("an answer without records")
}

func (p Probe) listEnds(c *Conn) error {
	r := kmsg.NewPtrListOffsetsRequest()
	r.Version, r.ReplicaID = 6, -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = p.Topic
	for i := range p.Partitions {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.CurrentLeaderEpoch, part.Timestamp = i, -1, -1
		t.Partitions = append(t.Partitions, part)
	}
	r.Topics = append(r.Topics, t)
	answered, err := c.ends(r)
	if err == nil && answered != int(p.Partitions) {
		err = fmt.Errorf("%d of %d partitions answered", answered, p.Partitions)
	}
	return err
}
