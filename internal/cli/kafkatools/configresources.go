package kafkatools

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const kindGroupConfigs = kmsg.ConfigResourceType(32)

// resourceTypes are the kinds whose configs are described and altered as resources; users, clients and ips have quotas.
var resourceTypes = map[string]kmsg.ConfigResourceType{
	kindTopics: kmsg.ConfigResourceTypeTopic, kindBrokers: kmsg.ConfigResourceTypeBroker, kindLoggers: kmsg.ConfigResourceTypeBrokerLogger,
	kindMetrics: kmsg.ConfigResourceType(16), kindGroups: kindGroupConfigs,
}

var sourceNames = map[kmsg.ConfigSource]string{
	1: "DYNAMIC_TOPIC_CONFIG", 2: "DYNAMIC_BROKER_CONFIG", 3: "DYNAMIC_DEFAULT_BROKER_CONFIG", 4: "STATIC_BROKER_CONFIG",
	5: "DEFAULT_CONFIG", 6: "DYNAMIC_BROKER_LOGGER_CONFIG", 7: "DYNAMIC_CLIENT_METRICS_CONFIG", 8: "DYNAMIC_GROUP_CONFIG",
}

// singular is a kind without its last letter.
func singular(kind string) string { return kind[:len(kind)-1] }

func (x *configCall) alter() error {
	add, err := x.additions()
	if err != nil {
		return err
	}
	remove := x.deletions()
	kind, name := x.kinds[0], x.names[0]
	switch kind {
	case kindUsers, kindClients:
		err = x.alterUsers(add, remove)
	case kindIPs:
		err = x.alterIPs(add, remove)
	default:
		err = x.alterResource(kind, name, add, remove)
	}
	if err != nil {
		return err
	}
	if name != "" {
		x.printf("Completed updating config for %s %s.\n", singular(kind), name)
	} else {
		x.printf("Completed updating default config for %s in the cluster.\n", kind)
	}
	return nil
}

func (x *configCall) alterResource(kind, name string, add []keyValue, remove []string) error {
	if kind == kindLoggers {
		if err := x.checkLoggers(name, add, remove); err != nil {
			return err
		}
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	if err := x.k.can(req); err != nil {
		return javaError(apiErrors+"UnsupportedVersionException", "The INCREMENTAL_ALTER_CONFIGS API is not supported by the cluster. The API is supported starting from version 2.3.0. You may want to use an older version of this tool to interact with your cluster, or upgrade your brokers to version 2.3.0 or newer to avoid this error.")
	}
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = resourceTypes[kind], name
	change := func(key string, op kmsg.IncrementalAlterConfigOp, value string) {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = key, op, kmsg.StringPtr(value)
		r.Configs = append(r.Configs, c)
	}
	for _, key := range remove {
		change(key, kmsg.IncrementalAlterConfigOpDelete, "")
	}
	for _, kv := range add {
		change(kv.key, kmsg.IncrementalAlterConfigOpSet, kv.value)
	}
	req.Resources = append(req.Resources, r)
	ctx, cancel := x.k.bounded(x.ctx)
	defer cancel()
	resp, err := x.onNode(ctx, kind, name, req, "incrementalAlterConfigs")
	if err != nil {
		return fromCluster(err)
	}
	for _, r := range resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
		if err := ofCode(r.ErrorCode, r.ErrorMessage); err != nil {
			return fromCluster(err)
		}
	}
	return nil
}

// checkLoggers refuses loggers that the node does not have.
func (x *configCall) checkLoggers(name string, add []keyValue, remove []string) error {
	known, err := x.configs(kindLoggers, name)
	if err != nil {
		return err
	}
	var unknown []string
	for _, key := range append(slices.Clone(remove), keys(add)...) {
		if !slices.ContainsFunc(known, func(c kmsg.DescribeConfigsResponseResourceConfig) bool { return c.Name == key }) {
			unknown = append(unknown, key)
		}
	}
	if unknown != nil {
		return javaError(apiErrors+"InvalidConfigurationException", "Invalid broker logger(s): %s", strings.Join(unknown, ","))
	}
	return nil
}

func keys(all []keyValue) []string {
	var names []string
	for _, kv := range all {
		names = append(names, kv.key)
	}
	return names
}

// onNode sends a request about a node to that node, and any other to whichever it belongs to.
func (x *configCall) onNode(ctx context.Context, kind, name string, req kmsg.Request, call string) (kmsg.Response, error) {
	to := int64(-1)
	if (kind == kindBrokers || kind == kindLoggers) && name != "" {
		to, _ = strconv.ParseInt(name, 10, 32)
		if there, err := x.isNode(ctx, name); err != nil || !there {
			if err == nil {
				err = timedOut("Timed out waiting for a node assignment. Call: %s", call)
			}
			return nil, err
		}
	}
	return kgoRequest(ctx, x.k.Client, req, int32(to))
}

func (x *configCall) isNode(ctx context.Context, id string) (bool, error) {
	ids, err := x.nodes(ctx)
	return slices.Contains(ids, id), err
}

func (x *configCall) nodes(ctx context.Context) ([]string, error) {
	all, err := x.k.metadata(ctx, []string{})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, b := range all.Brokers {
		ids = append(ids, strconv.Itoa(int(b.NodeID)))
	}
	slices.Sort(ids)
	return ids, nil
}

func (x *configCall) describe() error {
	switch x.kinds[0] {
	case kindUsers, kindClients:
		return x.describeUsers()
	case kindIPs:
		return x.describeQuotas()
	}
	kind, all := x.kinds[0], x.line.has("all")
	entities := x.names
	if len(entities) == 0 {
		var err error
		if entities, err = x.existing(kind); err != nil {
			return fromCluster(err)
		}
		if kind == kindBrokers {
			entities = append(entities, "")
		}
	} else if !all {
		there, err := x.exists(kind, entities[0])
		if err != nil {
			return err
		}
		if !there {
			x.printf("The %s '%s' doesn't exist and doesn't have dynamic config.\n", singular(kind), entities[0])
			return nil
		}
	}
	if len(x.names) > 0 {
		entities = x.names[:1]
	}
	for _, name := range entities {
		if err := x.describeOne(kind, name, all); err != nil {
			return err
		}
	}
	return nil
}

func (x *configCall) exists(kind, name string) (bool, error) {
	if kind == kindTopics {
		if why := invalidTopic(name); why != "" {
			// It is the tool itself that says so, but in the words of an answer.
			return false, javaError("java.lang.IllegalArgumentException", "%s", why)
		}
	}
	if kind == kindBrokers && name == "" {
		return true, nil
	}
	all, err := x.existing(kind)
	return slices.Contains(all, name), fromCluster(err)
}

// invalidTopic tells why a name cannot be that of a topic.
func invalidTopic(name string) string {
	switch {
	case name == "":
		return "Topic name is invalid: the empty string is not allowed"
	case name == "." || name == "..":
		return "Topic name is invalid: '" + name + "' is not allowed"
	case len(name) > 249:
		return "Topic name is invalid: the length of '" + name + "' is longer than the max allowed length 249"
	case !legalTopic(name):
		return "Topic name is invalid: '" + name + "' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
	}
	return ""
}

func legalTopic(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	})
}

// existing are the names of a kind that have, or can have, configs.
func (x *configCall) existing(kind string) ([]string, error) {
	switch kind {
	case kindTopics:
		return x.k.topicNames(x.ctx)
	case kindBrokers, kindLoggers:
		return x.nodes(x.ctx)
	case kindGroups:
		groups, err := x.k.listGroups(x.ctx, nil, nil)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, g := range groups {
			names = append(names, g.Group)
		}
		configured, err := x.configured(kind)
		names = append(names, configured...)
		slices.Sort(names)
		return slices.Compact(names), err
	}
	return x.configured(kind)
}

// configured are the names of resources that have configs.
func (x *configCall) configured(kind string) ([]string, error) {
	req := kmsg.NewPtrListConfigResourcesRequest()
	if err := x.k.can(req); err != nil {
		if kind == kindGroups {
			return nil, nil
		}
		return nil, err
	}
	req.ResourceTypes = []int8{int8(resourceTypes[kind])}
	ctx, cancel := x.k.bounded(x.ctx)
	defer cancel()
	resp, err := req.RequestWith(ctx, x.k.Client)
	if err == nil {
		err = ofCode(resp.ErrorCode, nil)
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range resp.ConfigResources {
		names = append(names, r.Name)
	}
	return names, nil
}

func (x *configCall) describeOne(kind, name string, all bool) error {
	which := "Dynamic"
	if all {
		which = "All"
	}
	if name == "" {
		x.printf("Default configs for %s in the cluster are:\n", kind)
	} else {
		x.printf("%s configs for %s %s are:\n", which, singular(kind), name)
	}
	configs, err := x.configs(kind, name)
	if err != nil {
		return err
	}
	source := map[string]kmsg.ConfigSource{kindTopics: 1, kindBrokers: 2, kindMetrics: 7, kindGroups: 8}[kind]
	if kind == kindBrokers && name == "" {
		source = 3
	}
	slices.SortFunc(configs, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range configs {
		if !all && kind != kindLoggers && c.Source != source {
			continue
		}
		var synonyms []string
		for _, s := range c.ConfigSynonyms {
			synonyms = append(synonyms, sourceNames[s.Source]+":"+s.Name+"="+orNull(s.Value))
		}
		x.printf("  %s=%s sensitive=%t synonyms={%s}\n", c.Name, orNull(c.Value), c.IsSensitive, strings.Join(synonyms, ", "))
	}
	return nil
}

func orNull(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// configs describes one resource.
func (x *configCall) configs(kind, name string) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = kind != kindLoggers || x.line.has("describe")
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = resourceTypes[kind], name
	req.Resources = append(req.Resources, r)
	ctx, cancel := x.k.bounded(x.ctx)
	defer cancel()
	resp, err := x.onNode(ctx, kind, name, req, "describeBrokerConfigs")
	if err != nil {
		return nil, fromCluster(err)
	}
	for _, r := range resp.(*kmsg.DescribeConfigsResponse).Resources {
		return r.Configs, fromCluster(ofCode(r.ErrorCode, r.ErrorMessage))
	}
	return nil, nil
}
