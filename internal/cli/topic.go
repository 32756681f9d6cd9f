package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli/configs"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

func (c *command) topic() *cobra.Command {
	cmd := term.Group("topic", "Create, list, describe, alter, trim and delete topics",
		c.topicCreate(), c.topicList(), c.topicDescribe(), c.topicAlter(), c.topicTrim(), c.topicDelete())
	c.at.Flags(cmd)
	return cmd
}

func (c *command) topicCreate() *cobra.Command {
	var form *term.Form
	var partitions int32
	var replication int16
	var settings []string
	var ifMissing bool
	cmd := &cobra.Command{
		Use: "create TOPIC...", Short: "Create topics",
		Args:    term.AtLeastOne("TOPIC"),
		Example: "  headrace topic create orders --partitions 6 --config retention.ms=86400000",
		RunE: func(cmd *cobra.Command, topics []string) error {
			configs, err := parseSettings(settings)
			if err != nil {
				return err
			}
			if partitions == 0 || partitions < -1 || replication == 0 || replication < -1 {
				return term.Usage("--partitions and --replication-factor must be at least 1")
			}
			return c.at.Admin(cmd.Context(), func(ctx context.Context, a *kadm.Client) error {
				done, err := a.CreateTopics(ctx, partitions, replication, configs, topics...)
				if err != nil {
					return err
				}
				return c.eachTopic(*form, topics, func(topic string) (string, error) {
					r := done[topic]
					switch {
					case errors.Is(r.Err, kerr.TopicAlreadyExists) && ifMissing:
						return "", nil
					case r.Err != nil:
						return "", topicError("create", topic, r.Err, r.ErrMessage)
					}
					return "created", nil
				})
			})
		},
	}
	form = term.OutputFlag(cmd)
	f := cmd.Flags()
	f.Int32Var(&partitions, "partitions", -1, "partitions (default: the cluster's)")
	f.Int16Var(&replication, "replication-factor", -1, "replicas of each partition (default: the cluster's)")
	f.StringArrayVar(&settings, "config", nil, "topic key as key=value, may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("config", completeTopicKey(true))
	f.BoolVar(&ifMissing, "if-not-exists", false, "leave topics that exist as they are")
	return cmd
}

func (c *command) topicDelete() *cobra.Command {
	var form *term.Form
	var ifThere bool
	cmd := &cobra.Command{
		Use: "delete TOPIC...", Short: "Delete topics with all their records",
		Args: term.AtLeastOne("TOPIC"), ValidArgsFunction: c.at.CompleteTopics,
		RunE: func(cmd *cobra.Command, topics []string) error {
			return c.at.Admin(cmd.Context(), func(ctx context.Context, a *kadm.Client) error {
				done, err := a.DeleteTopics(ctx, topics...)
				if err != nil {
					return err
				}
				return c.eachTopic(*form, topics, func(topic string) (string, error) {
					r := done[topic]
					switch {
					case errors.Is(r.Err, kerr.UnknownTopicOrPartition) && ifThere:
						return "", nil
					case r.Err != nil:
						return "", topicError("delete", topic, r.Err, r.ErrMessage)
					}
					return "deleted", nil
				})
			})
		},
	}
	form = term.OutputFlag(cmd)
	cmd.Flags().BoolVar(&ifThere, "if-exists", false, "do nothing about topics that do not exist")
	return cmd
}

func (c *command) topicAlter() *cobra.Command {
	var form *term.Form
	var partitions int
	var settings, removed []string
	cmd := &cobra.Command{
		Use: "alter TOPIC", Short: "Change the keys of a topic, or add partitions",
		Args: term.One("TOPIC"), ValidArgsFunction: c.at.CompleteTopics,
		Example: "  headrace topic alter orders --config retention.ms=3600000 --delete-config segment.ms --partitions 12",
		RunE: func(cmd *cobra.Command, args []string) error {
			changes, err := parseChanges(settings, removed)
			if err != nil {
				return err
			}
			if len(changes) == 0 && partitions == 0 {
				return term.Usage("topic alter: nothing to change: give --config, --delete-config or --partitions")
			}
			return c.at.Admin(cmd.Context(), func(ctx context.Context, a *kadm.Client) error {
				if err := alterTopic(ctx, a, args[0], changes, partitions); err != nil {
					return err
				}
				return c.told(*form, []outcome{{args[0], "altered"}}, "topic")
			})
		},
	}
	form = term.OutputFlag(cmd)
	f := cmd.Flags()
	f.IntVar(&partitions, "partitions", 0, "number of partitions that the topic shall have; it cannot shrink, and keys may go to other partitions")
	f.StringArrayVar(&settings, "config", nil, "topic key as key=value, may be repeated")
	f.StringArrayVar(&removed, "delete-config", nil, "topic key that shall have its default again, may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("config", completeTopicKey(true))
	_ = cmd.RegisterFlagCompletionFunc("delete-config", completeTopicKey(false))
	return cmd
}

func completeTopicKey(withValue bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return configs.CompleteKeys(conf.ScopeTopic, withValue, typed)
	}
}

func alterTopic(ctx context.Context, a *kadm.Client, topic string, changes []kadm.AlterConfig, partitions int) error {
	if len(changes) > 0 {
		done, err := a.AlterTopicConfigs(ctx, changes, topic)
		if err != nil {
			return err
		}
		r, err := done.On(topic, nil)
		if err = cmpError(err, r.Err); err != nil {
			return topicError("alter", topic, err, r.ErrMessage)
		}
	}
	if partitions > 0 {
		done, err := a.UpdatePartitions(ctx, partitions, topic)
		if err != nil {
			return err
		}
		r, err := done.On(topic, nil)
		if err = cmpError(err, r.Err); err != nil {
			return topicError("add partitions to", topic, err, r.ErrMessage)
		}
	}
	return nil
}

// eachTopic goes through all topics although some fail, so that the answer tells of each; f tells what was done to one, or "" where
// nothing was to do.
func (c *command) eachTopic(form term.Form, topics []string, f func(topic string) (string, error)) error {
	done := []outcome{}
	var failed []error
	for _, t := range topics {
		result, err := f(t)
		switch {
		case err != nil:
			failed = append(failed, err)
		case result != "":
			done = append(done, outcome{t, result})
		}
	}
	return errors.Join(append([]error{c.told(form, done, "topic")}, failed...)...)
}

// topicError says what could not be done to a topic. An unknown key gets the nearest that Headrace knows.
func topicError(verb, topic string, err error, message string) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return target.Refused(err, "cannot %s topic %s: it does not exist (headrace topic list shows those that do)", verb, topic)
	case errors.Is(err, kerr.TopicAlreadyExists):
		return target.Refused(err, "cannot %s topic %s: it exists already", verb, topic)
	}
	text := target.Explain(err, message).Error()
	if _, name, ok := strings.Cut(text, "Unknown topic config name: "); ok && errors.Is(err, kerr.InvalidConfig) {
		text += fmt.Sprintf(": did you mean %s?", conf.Nearest(conf.ScopeTopic, strings.TrimSuffix(name, ".")))
	}
	return target.Refused(err, "cannot %s topic %s: %s", verb, topic, text)
}

func parseSettings(settings []string) (map[string]*string, error) {
	configs := map[string]*string{}
	for _, s := range settings {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, term.Usage("--config: %q is not key=value", s)
		}
		if _, twice := configs[key]; twice {
			return nil, term.Usage("--config: %s is given twice", key)
		}
		configs[key] = &value
	}
	return configs, nil
}

func parseChanges(settings, removed []string) ([]kadm.AlterConfig, error) {
	configs, err := parseSettings(settings)
	if err != nil {
		return nil, err
	}
	var changes []kadm.AlterConfig
	for _, s := range settings {
		key, _, _ := strings.Cut(s, "=")
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: configs[key]})
	}
	for _, key := range removed {
		if _, both := configs[key]; both {
			return nil, term.Usage("--delete-config: %s is also set", key)
		}
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
	}
	return changes, nil
}
