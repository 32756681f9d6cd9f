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
	"github.com/headrace/headrace/internal/core/metadata"
)

// describeConfigs answers DescribeConfigs (32): topics and this broker, each key with its source.
func (s *Server) describeConfigs(_ context.Context, c *Call, req *kmsg.DescribeConfigsRequest) Response {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	include := conf.Include{Synonyms: req.IncludeSynonyms, Docs: req.IncludeDocumentation}
	for _, r := range req.Resources {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		entries, err := s.configsOf(r, include)
		if err != nil {
			out.ErrorCode = s.codeOf(err, "describe configs")
			out.ErrorMessage = kmsg.StringPtr(err.Error())
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
func (s *Server) configsOf(r kmsg.DescribeConfigsRequestResource, include conf.Include) ([]conf.Entry, error) {
	img := s.Metadata.Image()
	layers := s.Layers(img)
	switch r.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := kafka.ValidateTopicName(r.ResourceName); err != nil {
			return nil, fmt.Errorf("%w: %w", kerr.InvalidTopicException, err)
		}
		if _, ok := img.Topic(r.ResourceName); !ok {
			return nil, fmt.Errorf("topic %s is not there: %w", r.ResourceName, kerr.UnknownTopicOrPartition)
		}
		overrides := img.Config(metadata.ConfigResource{Type: metadata.TopicConfig, Name: r.ResourceName})
		return conf.Describe(conf.ScopeTopic, r.ResourceName, overrides, layers, include), nil
	case kmsg.ConfigResourceTypeBroker:
		if own := strconv.Itoa(int(s.NodeID)); r.ResourceName != "" && r.ResourceName != own {
			return nil, fmt.Errorf("this is broker %s, and the configs of broker %q are told by that broker: %w", own, r.ResourceName, kerr.InvalidRequest)
		}
		return conf.Describe(conf.ScopeBroker, r.ResourceName, nil, layers, include), nil
	}
	return nil, fmt.Errorf("configs of resource type %d are not there: only topics (2) and brokers (4): %w", r.ResourceType, kerr.InvalidRequest)
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
	if asked(conf.ScopeBroker) {
		for _, n := range img.Nodes() {
			add(conf.ScopeBroker, strconv.Itoa(int(n.ID)))
		}
	}
	return resp
}
