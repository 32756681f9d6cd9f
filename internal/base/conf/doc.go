// Package conf is the registry of configuration keys: one definition a key gives parsing, checking, dynamic scope,
// DescribeConfigs and docs/configuration.md. The composition root reads the file with ParseFile and takes a typed Node from
// it; the controller checks changes with CheckTopic and CheckBroker; partitions take a TopicConfig from TopicLog; the
// DescribeConfigs handler answers from Describe. Everything here is a pure function of its arguments: the package starts no
// goroutine and keeps no state.
package conf

//go:generate go test -run ^TestConfigurationPageIsUpToDate$ . -args -write
