// Command verify judges one client's run: its event log against the data set, the topic as franz-go reads it against
// both, the codecs found in the topic, and the group's state on the broker. Usage: verify [-corrupt] ROWS, with the
// environment the client had. With -corrupt it checks that its comparison can fail, and nothing else.
//
// The other flags are errands of the runner.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/interop/go/check"
	"github.com/headrace/headrace/interop/go/flights"
	"github.com/headrace/headrace/interop/go/play"
)

func main() {
	corrupt := flag.Bool("corrupt", false, "check that the comparison can fail")
	dump := flag.String("dump", "", "only compare this file, a topic written as M events, with the data set")
	remove := flag.String("remove", "", "only delete the topics and groups whose names start so")
	broker := flag.String("ping", "", "only check that this broker answers")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var summary string
	var err error
	switch {
	case *broker != "":
		err = ping(ctx, *broker)
	case *remove != "":
		summary, err = removeAll(ctx, play.Env().Bootstrap, *remove)
	case *dump != "":
		summary, err = verifyDump(*dump, flag.Arg(0))
	default:
		summary, err = verify(ctx, play.Env(), flag.Arg(0), os.Getenv("INTEROP_EVENTS"), *corrupt)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
	if summary != "" {
		fmt.Println(summary)
	}
}

func ping(ctx context.Context, broker string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	k, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return err
	}
	defer k.Close()
	return k.Ping(ctx)
}

// verifyDump compares a topic that a client read whole.
func verifyDump(path, rowsPath string) (string, error) {
	rows, err := flights.Lines(rowsPath)
	if err != nil {
		return "", err
	}
	seen, err := check.ReadDump(path, len(rows))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d records", len(seen)), seen.Content(rows)
}

// removeAll deletes what a run left and checks that it is gone.
func removeAll(ctx context.Context, broker, prefix string) (string, error) {
	k, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return "", err
	}
	defer k.Close()
	adm := kadm.NewClient(k)
	groups, err := adm.ListGroups(ctx)
	if err != nil {
		return "", err
	}
	ours := func(name string) bool { return strings.HasPrefix(name, prefix) }
	names := slices.DeleteFunc(groups.Groups(), func(name string) bool { return !ours(name) })
	if deleted, err := adm.DeleteGroups(ctx, names...); err != nil || deleted.Error() != nil {
		return "", fmt.Errorf("delete the groups: %w", errors.Join(err, deleted.Error()))
	}
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		return "", err
	}
	topicNames := slices.DeleteFunc(topics.Names(), func(name string) bool { return !ours(name) })
	if deleted, err := adm.DeleteTopics(ctx, topicNames...); err != nil || deleted.Error() != nil {
		return "", fmt.Errorf("delete the topics: %w", errors.Join(err, deleted.Error()))
	}
	summary := fmt.Sprintf("%d topics and %d groups deleted", len(topicNames), len(names))
	return summary, gone(ctx, adm, ours)
}

func gone(ctx context.Context, adm *kadm.Client, ours func(string) bool) error {
	for {
		topics, err := adm.ListTopics(ctx)
		if err != nil {
			return err
		}
		groups, err := adm.ListGroups(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(topics.Names(), ours) && !slices.ContainsFunc(groups.Groups(), ours) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("deleted topics or groups are still listed")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func verify(ctx context.Context, env play.Settings, rowsPath, eventsPath string, corrupt bool) (string, error) {
	rows, err := flights.Lines(rowsPath)
	if err != nil {
		return "", err
	}
	log, err := check.ReadLog(eventsPath, len(rows))
	if err != nil {
		return "", err
	}
	if corrupt {
		n, err := log.Seen.Corruptible(rows)
		return fmt.Sprintf("%d damages noticed", n), err
	}
	if err := log.Seen.Content(rows); err != nil {
		return "", err
	}
	if err := verifyTopic(ctx, env, log); err != nil {
		return "", fmt.Errorf("topic %s: %w", env.Topic, err)
	}
	if err := verifyGroup(ctx, env, log.Seen); err != nil {
		return "", fmt.Errorf("group %s: %w", env.Group, err)
	}
	summary := fmt.Sprintf("%d records, %d codecs, %d rebalances", len(log.Seen), len(log.Codecs), log.Rebalances)
	if log.Redelivered > 0 {
		summary += fmt.Sprintf(", %d redelivered", log.Redelivered)
	}
	return summary, nil
}

// codecNames are in the order of the codec's number in a record batch.
var codecNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// codecCounter counts the records fetched by codec.
type codecCounter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *codecCounter) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.FetchBatchMetrics) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[codecNames[m.CompressionType]] += m.NumRecords
}

func verifyTopic(ctx context.Context, env play.Settings, log check.Log) error {
	codecs := &codecCounter{counts: map[string]int{}}
	k, err := kgo.NewClient(kgo.SeedBrokers(env.Bootstrap), kgo.ConsumeTopics(env.Topic), kgo.WithHooks(codecs),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer k.Close()
	read := make(check.Seen, len(log.Seen))
	for len(read) < len(log.Seen) {
		fetches := k.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("after %d of %d records: %w", len(read), len(log.Seen), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read[check.Position{Partition: int(r.Partition), Offset: r.Offset}] = line(r)
		})
	}
	if err := log.Seen.Same(read); err != nil {
		return err
	}
	return codecs.match(log.Codecs)
}

func (c *codecCounter) match(want []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, codec := range want {
		if c.counts[codec] == 0 {
			return fmt.Errorf("no record is stored with %s; counts are %v", codec, c.counts)
		}
	}
	for _, codec := range slices.Sorted(maps.Keys(c.counts)) {
		if codec != "none" && !slices.Contains(want, codec) {
			return fmt.Errorf("%d records are stored with %s; used were %s", c.counts[codec], codec, strings.Join(want, ", "))
		}
	}
	return nil
}

func line(r *kgo.Record) string {
	row := flights.Row{Time: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		row.Headers = append(row.Headers, flights.Header{Name: h.Key, Value: h.Value})
	}
	return string(row.Append(nil))
}

// verifyGroup checks that the group is empty and committed to the end of each partition.
func verifyGroup(ctx context.Context, env play.Settings, seen check.Seen) error {
	k, err := kgo.NewClient(kgo.SeedBrokers(env.Bootstrap))
	if err != nil {
		return err
	}
	defer k.Close()
	adm := kadm.NewClient(k)
	ends, err := adm.ListEndOffsets(ctx, env.Topic)
	if err != nil {
		return err
	}
	committed, err := adm.FetchOffsets(ctx, env.Group)
	if err != nil {
		return err
	}
	total := int64(0)
	for p := range int32(play.Partitions) {
		end, _ := ends.Lookup(env.Topic, p)
		at, _ := committed.Lookup(env.Topic, p)
		if end.Offset != at.At {
			return fmt.Errorf("partition %d ends at %d, committed is %d", p, end.Offset, at.At)
		}
		total += end.Offset
	}
	if total != int64(len(seen)) {
		return fmt.Errorf("end offsets add up to %d, %d records seen", total, len(seen))
	}
	return verifyEmpty(ctx, adm, env.Group)
}

func verifyEmpty(ctx context.Context, adm *kadm.Client, group string) error {
	listed, err := adm.ListGroups(ctx)
	if err != nil {
		return err
	}
	if state := listed[group].State; state != "Empty" {
		return fmt.Errorf("state is %q after every member left", state)
	}
	return nil
}
