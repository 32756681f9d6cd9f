package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/core/metadata"
)

// describeConfigs answers DescribeConfigs (32): topics, this broker and groups, each key with its source.
func (s *Server) describeConfigs(_ context.Context, c *Call, req *kmsg.DescribeConfigsRequest) Response {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	include := conf.Include{Synonyms: req.IncludeSynonyms, Docs: req.IncludeDocumentation}
	for _, r := range req.Resources {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		entries, p := s.configsOf(r, include)
		if p != nil {
			out.ErrorCode, out.ErrorMessage = failure(p.Code, p.Message)
		}
		for _, e := range entries {
			if len(r.ConfigNames) == 0 || slices.Contains(r.ConfigNames, e.Name) {
				out.Configs = append(out.Configs, configEntry(e, c.Version))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// configsOf lists one resource's keys.
func (s *Server) configsOf(r kmsg.DescribeConfigsRequestResource, include conf.Include) ([]conf.Entry, *controller.Problem) {
	img := s.Metadata.Image()
	layers := s.Layers(img)
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if p := controller.CheckTopicName(r.ResourceName); p != nil {
			return nil, p
		}
		if _, ok := img.Topic(r.ResourceName); !ok {
			return nil, refused(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", r.ResourceName)
		}
		overrides := img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: r.ResourceName})
		return conf.Describe(conf.ScopeTopic, r.ResourceName, overrides, layers, include), nil
	case kmsg.ConfigResourceTypeBroker:
		if p := s.checkBrokerName(r.ResourceName); p != nil {
			return nil, p
		}
		return conf.Describe(conf.ScopeBroker, r.ResourceName, nil, layers, include), nil
	case kmsg.ConfigResourceTypeGroupConfig:
		if r.ResourceName == "" {
			return nil, refused(kerr.InvalidRequest, "Group name must not be empty")
		}
		overrides := img.Config(metadata.ConfigResource{Type: metadata.GroupConfig, Name: r.ResourceName})
		return conf.Describe(conf.ScopeGroup, r.ResourceName, overrides, layers, include), nil
	case kmsg.ConfigResourceTypeBrokerLogger:
		return s.loggerConfigs(r.ResourceName)
	}
	return nil, refused(kerr.InvalidRequest, "Configs of resource type %d are not supported: only those of topics (2), brokers (4), their loggers (8) and groups (32) are.", r.ResourceType)
}

// checkBrokerName wants this broker, whose own configs only it can tell, or the empty name of the cluster's default.
func (s *Server) checkBrokerName(name string) *controller.Problem {
	id, err := strconv.ParseInt(name, 10, 32)
	switch {
	case name == "" || err == nil && kafka.NodeID(id) == s.NodeID:
		return nil
	case err != nil:
		return refused(kerr.InvalidRequest, "Broker id must be an integer, but it is: %s", name)
	}
	return refused(kerr.InvalidRequest, "Unexpected broker id, expected %d or empty string, but received %s", s.NodeID, name)
}

func refused(code *kerr.Error, format string, args ...any) *controller.Problem {
	return &controller.Problem{Code: code, Message: fmt.Sprintf(format, args...)}
}

// configEntry puts an entry into the form of the request's version: v0 knows only whether a value is the default.
func configEntry(e conf.Entry, version int16) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value, out.ReadOnly, out.IsSensitive = e.Name, e.Value, e.ReadOnly, e.Sensitive
	out.Source, out.ConfigType = kmsg.ConfigSource(e.Source), kmsg.ConfigType(e.Kind)
	out.IsDefault = e.Source == conf.SourceDefault
	if e.Doc != "" {
		out.Documentation = kmsg.StringPtr(e.Doc)
	}
	for _, syn := range e.Synonyms {
		o := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		o.Name, o.Value, o.Source = syn.Name, syn.Value, kmsg.ConfigSource(syn.Source)
		out.ConfigSynonyms = append(out.ConfigSynonyms, o)
	}
	return out
}

// listConfigResources answers ListConfigResources (74, KIP-1142): what has, or may have, configs. Version 0 asked for
// client metrics alone, of which there are none.
func (s *Server) listConfigResources(_ context.Context, c *Call, req *kmsg.ListConfigResourcesRequest) Response {
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	if c.Version == 0 {
		return resp
	}
	known := []conf.Scope{conf.ScopeTopic, conf.ScopeBroker, conf.ScopeBrokerLogger, conf.ScopeClientMetrics, conf.ScopeGroup}
	for _, t := range req.ResourceTypes {
		if !slices.Contains(known, conf.Scope(t)) {
			resp.ErrorCode = kerr.UnsupportedVersion.Code
			return resp
		}
	}
	asked := func(scope conf.Scope) bool {
		return len(req.ResourceTypes) == 0 || slices.Contains(req.ResourceTypes, int8(scope))
	}
	add := func(scope conf.Scope, name string) {
		r := kmsg.NewListConfigResourcesResponseConfigResource()
		r.Name, r.Type = name, int8(scope)
		resp.ConfigResources = append(resp.ConfigResources, r)
	}
	img := s.Metadata.Image()
	if asked(conf.ScopeTopic) {
		for t := range img.Topics() {
			add(conf.ScopeTopic, t.Name)
		}
	}
	if asked(conf.ScopeGroup) {
		for r := range img.Configs() {
			if r.Type == metadata.GroupConfig {
				add(conf.ScopeGroup, r.Name)
			}
		}
	}
	for _, scope := range []conf.Scope{conf.ScopeBrokerLogger, conf.ScopeBroker} {
		for _, n := range img.Brokers() {
			if asked(scope) {
				add(scope, strconv.Itoa(int(n.ID)))
			}
		}
	}
	return resp
}
