package main

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type op struct {
	name string
	op   kmsg.IncrementalAlterConfigOp
	val  string
}

const (
	set      = kmsg.IncrementalAlterConfigOpSet
	unset    = kmsg.IncrementalAlterConfigOpDelete
	appendTo = kmsg.IncrementalAlterConfigOpAppend
	subtract = kmsg.IncrementalAlterConfigOpSubtract
)

type res struct {
	kind kmsg.ConfigResourceType
	name string
	ops  []op
}

func alter(only bool, rs ...res) func(*target) kmsg.Request {
	return func(*target) kmsg.Request {
		r := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r.ValidateOnly = only
		for _, x := range rs {
			a := kmsg.NewIncrementalAlterConfigsRequestResource()
			a.ResourceType, a.ResourceName = x.kind, x.name
			for _, o := range x.ops {
				c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
				c.Name, c.Op, c.Value = o.name, o.op, ptr(o.val)
				if o.val == "NULL" {
					c.Value = nil
				}
				a.Configs = append(a.Configs, c)
			}
			r.Resources = append(r.Resources, a)
		}
		return r
	}
}

func replace(only bool, kind kmsg.ConfigResourceType, name string, kv ...string) func(*target) kmsg.Request {
	return func(*target) kmsg.Request {
		r := kmsg.NewPtrAlterConfigsRequest()
		r.ValidateOnly = only
		a := kmsg.NewAlterConfigsRequestResource()
		a.ResourceType, a.ResourceName = kind, name
		for i := 0; i < len(kv); i += 2 {
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			c.Name, c.Value = kv[i], ptr(kv[i+1])
			if kv[i+1] == "NULL" {
				c.Value = nil
			}
			a.Configs = append(a.Configs, c)
		}
		r.Resources = append(r.Resources, a)
		return r
	}
}

func show(synonyms bool, kind kmsg.ConfigResourceType, name string, keys ...string) func(*target) kmsg.Request {
	return func(*target) kmsg.Request {
		r := kmsg.NewPtrDescribeConfigsRequest()
		r.IncludeSynonyms = synonyms
		a := kmsg.NewDescribeConfigsRequestResource()
		a.ResourceType, a.ResourceName, a.ConfigNames = kind, name, keys
		r.Resources = append(r.Resources, a)
		return r
	}
}

func (s *steps) configs() {
	const topic, broker = kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker
	try := func(name string, o ...op) { s.add("topic "+name, alter(true, res{topic, "one", o})) }
	try("set", op{"retention.ms", set, "5"})
	try("set unknown", op{"nope", set, "5"})
	try("set bad", op{"retention.ms", set, "abc"})
	try("set empty", op{"retention.ms", set, ""})
	try("set null", op{"retention.ms", set, "NULL"})
	try("set null, unknown", op{"nope", set, "NULL"})
	try("delete", op{"retention.ms", unset, "NULL"})
	try("delete with value", op{"retention.ms", unset, "7"})
	try("delete unknown", op{"nope", unset, "NULL"})
	try("append to number", op{"retention.ms", appendTo, "5"})
	try("subtract from number", op{"retention.ms", subtract, "5"})
	try("append to unknown", op{"nope", appendTo, "5"})
	try("subtract from unknown", op{"nope", subtract, "5"})
	try("append null", op{"cleanup.policy", appendTo, "NULL"})
	try("append", op{"cleanup.policy", appendTo, "compact"})
	try("append bad", op{"cleanup.policy", appendTo, "shred"})
	try("append what is there", op{"cleanup.policy", appendTo, "delete"})
	try("append empty", op{"cleanup.policy", appendTo, ""})
	try("append several", op{"cleanup.policy", appendTo, "compact,delete"})
	try("subtract last", op{"cleanup.policy", subtract, "delete"})
	try("subtract absent", op{"cleanup.policy", subtract, "compact"})
	try("unknown op", op{"retention.ms", 9, "5"})
	try("unknown op on unknown key", op{"nope", 9, "5"})
	try("twice", op{"retention.ms", set, "5"}, op{"retention.ms", unset, "5"})
	try("two, one bad", op{"retention.ms", set, "5"}, op{"segment.bytes", set, "x"})
	try("nothing")
	try("lags", op{"min.compaction.lag.ms", set, "10"}, op{"max.compaction.lag.ms", set, "5"})
	try("local retention", op{"local.retention.ms", set, "10"}, op{"retention.ms", set, "5"})
	try("remote on", op{"remote.storage.enable", set, "true"})
	try("remote copy disable", op{"remote.log.copy.disable", set, "true"})
	try("segment jitter", op{"segment.jitter.ms", set, "-1"})
	try("huge value", op{"retention.ms", set, strings.Repeat("1", 40000)})
	try("long overflow", op{"retention.ms", set, "9223372036854775808"})
	try("int overflow", op{"segment.bytes", set, "2147483648"})
	try("double", op{"min.cleanable.dirty.ratio", set, "x"})
	try("bool", op{"unclean.leader.election.enable", set, "maybe"})
	try("bool case", op{"unclean.leader.election.enable", set, "TRUE"})
	try("isr", op{"min.insync.replicas", set, "3"})
	try("throttle list", op{"leader.replication.throttled.replicas", appendTo, "0:1"})
	try("throttle bad", op{"leader.replication.throttled.replicas", set, "x"})
	try("timestamp type", op{"message.timestamp.type", set, "Never"})
	try("decompressed", op{"max.decompressed.message.bytes", set, "5"})

	s.add("topic real set", alter(false, res{topic, "one", []op{{"max.message.bytes", set, "2000000"}, {"cleanup.policy", appendTo, "compact"}, {"retention.ms", set, "007"}}}))
	s.add("show one", show(true, topic, "one"))
	s.add("topic subtract", alter(false, res{topic, "one", []op{{"cleanup.policy", subtract, "delete"}, {"retention.ms", unset, "NULL"}}}))
	s.add("show one after", show(true, topic, "one", "cleanup.policy", "retention.ms", "nope"))
	s.add("topic legacy", replace(false, topic, "one", "segment.bytes", "2000000"))
	s.add("show one after legacy", show(true, topic, "one"))
	s.add("topic legacy null", replace(false, topic, "one", "segment.bytes", "NULL"))
	s.add("topic legacy unknown", replace(false, topic, "one", "nope", "1"))
	s.add("topic legacy twice", replace(false, topic, "one", "segment.bytes", "2000000", "segment.bytes", "2000001"))
	s.add("topic legacy validate nothing", replace(true, topic, "one"))
	s.add("show one after refusals", show(false, topic, "one", "segment.bytes"))
	s.add("show three", show(true, topic, "three"))
	s.addAt("show three", 1, show(true, topic, "three"))

	for _, name := range []string{"nope", "", "a b"} {
		s.add("alter topic '"+name+"'", alter(true, res{topic, name, []op{{"retention.ms", set, "5"}}}))
		s.add("legacy topic '"+name+"'", replace(true, topic, name, "retention.ms", "5"))
		s.add("show topic '"+name+"'", show(false, topic, name))
	}
	for _, kind := range []kmsg.ConfigResourceType{0, 1, 3, 8, 16, 32, 64} {
		for _, name := range []string{"", "1", "x"} {
			s.add("alter type "+kind.String()+" '"+name+"'", alter(true, res{kind, name, []op{{"interval.ms", set, "5000"}}}))
			s.add("legacy type "+kind.String()+" '"+name+"'", replace(true, kind, name, "interval.ms", "5000"))
			s.add("show type "+kind.String()+" '"+name+"'", show(false, kind, name))
		}
	}
	s.add("group config", alter(true, res{kmsg.ConfigResourceTypeGroupConfig, "g", []op{{"consumer.session.timeout.ms", set, "50000"}}}))
	s.groupConfigs()
	s.add("same resource twice", alter(true, res{topic, "one", []op{{"retention.ms", set, "5"}}}, res{topic, "one", nil}, res{topic, "three", nil}))
	s.add("no resource", alter(true))
	s.brokerConfigs()
	for _, types := range [][]int8{nil, {2}, {4}, {2, 4}, {8}, {16}, {32}, {1}, {0}, {-1}, {2, 99}} {
		s.add("list resources", func(*target) kmsg.Request {
			r := kmsg.NewPtrListConfigResourcesRequest()
			r.ResourceTypes = types
			return r
		})
	}
	s.addAt("list resources", 0, func(*target) kmsg.Request { return kmsg.NewPtrListConfigResourcesRequest() })
}

func (s *steps) groupConfigs() {
	const group = kmsg.ConfigResourceTypeGroupConfig
	for _, c := range [][2]string{
		{"consumer.session.timeout.ms", "45000"}, {"consumer.session.timeout.ms", "44999"}, {"consumer.session.timeout.ms", "60001"},
		{"consumer.session.timeout.ms", "0"}, {"consumer.session.timeout.ms", "x"}, {"consumer.heartbeat.interval.ms", "4999"},
		{"consumer.heartbeat.interval.ms", "15001"}, {"consumer.heartbeat.interval.ms", "6000"}, {"consumer.assignment.interval.ms", "-1"},
		{"consumer.assignment.interval.ms", "0"}, {"consumer.assignment.interval.ms", "15001"}, {"consumer.nope", "1"}, {"retention.ms", "1"},
	} {
		for _, name := range []string{"tuned", ""} {
			s.add("group '"+name+"' config "+c[0]+"="+c[1], alter(true, res{group, name, []op{{c[0], set, c[1]}}}))
		}
		s.add("group legacy config "+c[0]+"="+c[1], replace(true, group, "tuned", c[0], c[1]))
	}
	s.add("group config append", alter(true, res{group, "tuned", []op{{"consumer.session.timeout.ms", appendTo, "1"}}}))
	s.add("group config set", alter(false, res{group, "tuned", []op{{"consumer.heartbeat.interval.ms", set, "7000"}, {"consumer.assignment.interval.ms", set, "20"}}}))
	s.add("show group", show(true, group, "tuned"))
	s.add("show group without", show(true, group, "untuned"))
	s.add("show group one", show(false, group, "tuned", "consumer.heartbeat.interval.ms", "nope"))
	s.add("beat tuned", beat("tuned", firstMember, 0, joins))
	s.add("group config delete", alter(false, res{group, "tuned", []op{{"consumer.heartbeat.interval.ms", unset, ""}}}))
	s.add("show group after", show(true, group, "tuned"))
	s.add("beat tuned after", beat("tuned", firstMember, 2))
	s.add("beat tuned leaves", beat("tuned", firstMember, -1))
}

func (s *steps) brokerConfigs() {
	const broker = kmsg.ConfigResourceTypeBroker
	for _, node := range []string{"1", "", "7", "x", "-1"} {
		try := func(name string, o ...op) { s.add("broker '"+node+"' "+name, alter(true, res{broker, node, o})) }
		try("set", op{"log.retention.ms", set, "100000"})
		try("set unknown", op{"nope", set, "1"})
		try("set read-only", op{"node.id", set, "1"})
		try("set read-only bad", op{"num.partitions", set, "x"})
		try("set bad", op{"log.retention.ms", set, "abc"})
		try("set null", op{"log.retention.ms", set, "NULL"})
		try("delete", op{"log.retention.ms", unset, "NULL"})
		try("delete read-only", op{"node.id", unset, "NULL"})
		try("delete unknown", op{"nope", unset, "NULL"})
		try("append to number", op{"log.retention.ms", appendTo, "5"})
		try("append to list", op{"log.cleanup.policy", appendTo, "compact"})
		try("append to unknown", op{"nope", appendTo, "5"})
		try("set own", op{"max.connections", set, "500"})
		try("set isr", op{"min.insync.replicas", set, "2"})
		try("delete isr", op{"min.insync.replicas", unset, "NULL"})
		try("set listeners", op{"listeners", set, "PLAINTEXT://127.0.0.1:1"})
		try("set compression", op{"compression.type", set, "brotli"})
		try("set two, one read-only", op{"log.retention.ms", set, "100000"}, op{"node.id", set, "1"})
		s.add("legacy broker '"+node+"'", replace(true, broker, node, "log.retention.ms", "100000"))
		s.add("legacy broker '"+node+"' read-only", replace(true, broker, node, "node.id", "1"))
		s.add("show broker '"+node+"'", show(true, broker, node))
	}
	s.add("broker set", alter(false, res{broker, "1", []op{{"log.retention.ms", set, "1234567"}}}, res{broker, "", []op{{"log.retention.ms", set, "7654321"}, {"message.max.bytes", set, "1500000"}}}))
	s.add("show broker after", show(true, broker, "1"))
	s.add("show broker default after", show(true, broker, "", "log.retention.ms", "message.max.bytes", "node.id"))
	s.add("show topic after broker", show(true, kmsg.ConfigResourceTypeTopic, "hand"))
	s.add("validate with broker defaults", validate(topic("x", 1, 1)))
	s.add("broker delete", alter(false, res{broker, "1", []op{{"log.retention.ms", unset, "NULL"}}}, res{broker, "", []op{{"log.retention.ms", unset, "NULL"}, {"message.max.bytes", unset, "NULL"}}}))
	s.add("show broker at last", show(true, broker, "1", "log.retention.ms", "log.retention.hours", "log.retention.minutes"))
}
