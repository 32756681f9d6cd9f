package api

import (
	"log/slog"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/logs"
)

func TestLoggersAreShownAndChangedAsKafkaDoes(t *testing.T) {
	w := newWorld(t)
	levels := logs.New()
	levels.Begin("api", slog.LevelInfo)
	w.srv.Loggers = levels
	change := func(name, logger string, op kmsg.IncrementalAlterConfigOp, value string) (int16, string) {
		t.Helper()
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeBrokerLogger, ResourceName: name,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: logger, Op: op}},
		}}
		if value != "" {
			req.Resources[0].Configs[0].Value = &value
		}
		resp, _ := w.call(req, 1)
		r := resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		if r.ErrorMessage == nil {
			return r.ErrorCode, ""
		}
		return r.ErrorCode, *r.ErrorMessage
	}
	const set, del, add, sub = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	invalid, config := kerr.InvalidRequest.Code, kerr.InvalidConfig.Code
	const valid = " as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
	// What Apache Kafka 4.3.1 answered to the same.
	for _, c := range []struct {
		name, logger string
		op           kmsg.IncrementalAlterConfigOp
		value        string
		code         int16
		text         string
		level        slog.Level // of api, afterwards
	}{
		{"1", "api", set, "DEBUG", 0, "", slog.LevelDebug},
		{"1", "api", set, "warn", config, "Cannot set the log level of api to warn" + valid, slog.LevelDebug},
		{"1", "api", set, "OFF", config, "Cannot set the log level of api to OFF" + valid, slog.LevelDebug},
		{"1", "api", set, "", invalid, "Null value not supported for : api", slog.LevelDebug},
		{"1", "no.such", set, "INFO", config, "Logger no.such does not exist!", slog.LevelDebug},
		{"1", "no.such", del, "", config, "Logger no.such does not exist!", slog.LevelDebug},
		{"1", "root", del, "", invalid, "Removing the log level of the root logger is not allowed", slog.LevelDebug},
		{"1", "api", add, "INFO", invalid, "APPEND operation is not allowed for the BROKER_LOGGER resource", slog.LevelDebug},
		{"1", "api", sub, "INFO", invalid, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource", slog.LevelDebug},
		{"", "api", set, "INFO", invalid, "Node id must be an integer, but it is: ", slog.LevelDebug},
		{"9", "api", set, "INFO", invalid, "Unexpected node id. Expected 1, but received 9", slog.LevelDebug},
		{"1", "root", set, "ERROR", 0, "", slog.LevelDebug},
		{"1", "api", del, "", 0, "", slog.LevelError},
	} {
		if code, text := change(c.name, c.logger, c.op, c.value); code != c.code || text != c.text {
			t.Errorf("%s %s %v %s: %d %q, want %d %q", c.name, c.logger, c.op, c.value, code, text, c.code, c.text)
		}
		if got := levels.All()["api"]; got != c.level {
			t.Errorf("%s %s %v %s: api is %v, want %v", c.name, c.logger, c.op, c.value, got, c.level)
		}
	}

	w.srv.Layers = func(*metadata.Image) conf.Layers { return conf.Layers{} }
	describe := kmsg.NewPtrDescribeConfigsRequest()
	describe.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBrokerLogger, ResourceName: "1"}, {ResourceType: kmsg.ConfigResourceTypeBrokerLogger}}
	resp, _ := w.call(describe, 4)
	got := resp.(*kmsg.DescribeConfigsResponse).Resources
	if len(got[0].Configs) != 2 || got[0].Configs[0].Name != "api" || *got[0].Configs[1].Value != "ERROR" || got[0].Configs[0].Source != kmsg.ConfigSourceDynamicBrokerLoggerConfig {
		t.Errorf("%+v", got[0])
	}
	if got[1].ErrorCode != invalid || *got[1].ErrorMessage != "Broker id must not be empty" {
		t.Errorf("%+v", got[1])
	}
}

func TestLoggersBesideOtherResourcesAreAnsweredWithThem(t *testing.T) {
	w := newWorld(t)
	w.srv.Loggers = logs.New()
	w.topic("t", 1, nil)
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	value, level := "1000", "DEBUG"
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{
		{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}},
		{ResourceType: kmsg.ConfigResourceTypeBrokerLogger, ResourceName: "1", Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "root", Value: &level}}},
	}
	resp, _ := w.call(req, 1)
	rs := resp.(*kmsg.IncrementalAlterConfigsResponse).Resources
	if len(rs) != 2 || rs[0].ErrorCode != 0 || rs[1].ErrorCode != 0 || rs[0].ResourceType == rs[1].ResourceType {
		t.Errorf("%+v", rs)
	}
}
