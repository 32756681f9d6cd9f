package app

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/vfs"
)

func TestBrokerConfigsChangeWhileTheNodeRuns(t *testing.T) {
	w := newWorld(t, vfs.NewMem(), nil)
	w.start()
	defer w.stop()
	w.create("orders", nil)
	alter := func(kind kmsg.ConfigResourceType, name string, kv ...string) int16 {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for i := 0; i < len(kv); i += 2 {
			c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			c.Name, c.Value = kv[i], &kv[i+1]
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
		resp, err := req.RequestWith(w.ctx, w.client)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Resources[0].ErrorCode
	}
	const topic, broker = kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker
	for _, c := range []struct {
		code int16
		kind kmsg.ConfigResourceType
		name string
		kv   []string
	}{
		{0, broker, "1", []string{"log.retention.ms", "1234567"}}, // its default is null
		{0, broker, "", []string{"log.retention.ms", "7654321", "message.max.bytes", "2000000"}},
		{kerr.InvalidRequest.Code, broker, "1", []string{"log.retention.ms", "abc"}},
		{kerr.InvalidRequest.Code, broker, "1", []string{"log.retention.ms", "1", "num.partitions", "x"}},
		{kerr.InvalidConfig.Code, broker, "1", []string{"no.such.key", "x"}},
		{0, topic, "orders", []string{"max.compaction.lag.ms", "5"}},
		{kerr.InvalidConfig.Code, topic, "orders", []string{"min.compaction.lag.ms", "6"}},
	} {
		if code := alter(c.kind, c.name, c.kv...); code != c.code {
			t.Errorf("%v %q %v: code %d, want %d", c.kind, c.name, c.kv, code, c.code)
		}
	}
	described, err := w.admin.DescribeTopicConfigs(w.ctx, "orders")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range described[0].Configs {
		if c.Key == "retention.ms" && c.MaybeValue() != "1234567" {
			t.Errorf("retention.ms is %s", c.MaybeValue())
		}
	}
}

// What a cluster begins with counts on all nodes, whatever their files say later: which replicas may lead follows from it.
func TestMinISROfTheFileBeginsTheClusterAndNoMore(t *testing.T) {
	fs := vfs.NewMem()
	for _, asked := range []string{"2", "3"} {
		w := newWorld(t, fs, map[string]string{"min.insync.replicas": asked})
		w.start()
		if got := conf.TopicLog(nil, w.node.layers(w.node.image.Load())).MinISR; got != 2 {
			t.Errorf("with %s in the file it is %d", asked, got)
		}
		w.stop()
	}
}
