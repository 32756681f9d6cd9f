package api

import (
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/controller"
	"github.com/headrace/headrace/internal/node/logs"
)

// Loggers are the levels of the node's log, which Kafka's tools show and change as configs of the resource type BROKER_LOGGER.
// They are this node's alone and last until it stops. logs.Levels is the one implementation.
type Loggers interface {
	All() map[string]slog.Level
	Check(name string) error
	Set(name string, level slog.Level) error
	Follow(name string) error
}

// loggerLevels are those that Kafka's tools may set, in the order in which Kafka names them.
var loggerLevels = []string{"DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"}

// loggerConfigs lists the levels for DescribeConfigs.
func (s *Server) loggerConfigs(name string) ([]conf.Entry, *controller.Problem) {
	id, err := strconv.ParseInt(name, 10, 32)
	switch {
	case name == "":
		return nil, refused(kerr.InvalidRequest, "Broker id must not be empty")
	case err != nil:
		return nil, refused(kerr.InvalidRequest, "Broker id must be an integer, but it is: %s", name)
	case kafka.NodeID(id) != s.NodeID:
		return nil, refused(kerr.InvalidRequest, "Unexpected broker id, expected %d but received %s", s.NodeID, name)
	case s.Loggers == nil:
		return nil, nil
	}
	var entries []conf.Entry
	all := s.Loggers.All()
	for _, component := range slices.Sorted(maps.Keys(all)) {
		level := logs.LevelName(all[component])
		entries = append(entries, conf.Entry{Name: component, Value: &level, Source: conf.SourceBrokerLogger})
	}
	return entries, nil
}

// alterLoggers carries out the changes to one BROKER_LOGGER resource, all or none of them.
func (s *Server) alterLoggers(r kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) *controller.Problem {
	if p := s.checkLoggers(r); p != nil || validateOnly {
		return p
	}
	for _, c := range r.Configs {
		err := error(nil)
		if c.Op == kmsg.IncrementalAlterConfigOpDelete {
			err = s.Loggers.Follow(c.Name)
		} else if level, bad := logs.ParseLevel(*c.Value); bad == nil {
			err = s.Loggers.Set(c.Name, level)
		}
		if err != nil {
			return refused(kerr.InvalidConfig, "%v", err)
		}
	}
	return nil
}

func (s *Server) checkLoggers(r kmsg.IncrementalAlterConfigsRequestResource) *controller.Problem {
	seen := map[string]bool{}
	for _, c := range r.Configs {
		switch {
		case seen[c.Name]:
			return refused(kerr.InvalidRequest, "Error due to duplicate config keys")
		case c.Value == nil && c.Op != kmsg.IncrementalAlterConfigOpDelete:
			return refused(kerr.InvalidRequest, "Null value not supported for : %s", c.Name)
		}
		seen[c.Name] = true
	}
	id, err := strconv.ParseInt(r.ResourceName, 10, 32)
	switch {
	case err != nil:
		return refused(kerr.InvalidRequest, "Node id must be an integer, but it is: %s", r.ResourceName)
	case kafka.NodeID(id) != s.NodeID:
		return refused(kerr.InvalidRequest, "Unexpected node id. Expected %d, but received %s", s.NodeID, r.ResourceName)
	}
	for _, c := range r.Configs {
		if p := s.checkLogger(c); p != nil {
			return p
		}
	}
	return nil
}

func (s *Server) checkLogger(c kmsg.IncrementalAlterConfigsRequestResourceConfig) *controller.Problem {
	switch c.Op {
	case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
		return refused(kerr.InvalidRequest, "%v operation is not allowed for the BROKER_LOGGER resource", c.Op)
	case kmsg.IncrementalAlterConfigOpDelete:
		if c.Name == logs.Root {
			return refused(kerr.InvalidRequest, "Removing the log level of the root logger is not allowed")
		}
	}
	if s.Loggers == nil || s.Loggers.Check(c.Name) != nil {
		return refused(kerr.InvalidConfig, "Logger %s does not exist!", c.Name)
	}
	if c.Op == kmsg.IncrementalAlterConfigOpSet && !slices.Contains(loggerLevels, *c.Value) {
		return refused(kerr.InvalidConfig, "Cannot set the log level of %s to %s as it is not a supported log level. Valid log levels are %s",
			c.Name, *c.Value, strings.Join(loggerLevels, ", "))
	}
	return nil
}

// takeLoggers answers the BROKER_LOGGER resources of a request and takes them out of it: they are no metadata.
func (s *Server) takeLoggers(req *kmsg.IncrementalAlterConfigsRequest) []kmsg.IncrementalAlterConfigsResponseResource {
	var answers []kmsg.IncrementalAlterConfigsResponseResource
	var others []kmsg.IncrementalAlterConfigsRequestResource
	for _, r := range req.Resources {
		if r.ResourceType != kmsg.ConfigResourceTypeBrokerLogger {
			others = append(others, r)
			continue
		}
		a := kmsg.NewIncrementalAlterConfigsResponseResource()
		a.ResourceType, a.ResourceName = r.ResourceType, r.ResourceName
		if p := s.alterLoggers(r, req.ValidateOnly); p != nil {
			a.ErrorCode, a.ErrorMessage = failure(p.Code, p.Message)
		} else if !req.ValidateOnly {
			s.Log.Info("log levels changed by a client", "changes", len(r.Configs))
		}
		answers = append(answers, a)
	}
	req.Resources = others
	return answers
}
