package kafkatools

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
)

// groupCall is a run of kafka-consumer-groups.
type groupCall struct {
	*call
	k   *cluster
	ids map[string][16]byte // of topics, once they are needed
}

func runGroups(c *call) error {
	c.groupOptions()
	if err := c.begin(); err != nil {
		f := asFailure(err)
		c.complain("Exception in thread \"main\" " + f.named())
		return ended(1)
	}
	if err := c.aboutItself("This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets."); err != nil {
		return err
	}
	if err := c.checkGroupOptions(); err != nil {
		return err
	}
	if c.line.has("validate-regex") {
		return c.validateRegex(c.line.text("validate-regex"))
	}
	err := c.changeGroups()
	var use *usageError
	var code ended
	if err == nil || errors.As(err, &use) || errors.As(err, &code) || c.ctx.Err() != nil {
		return err
	}
	f := asFailure(err)
	if f.class == "java.lang.IllegalArgumentException" {
		return usage("%s", f.text)
	}
	// The tool tells of a failure and ends well.
	c.printError("Executing consumer group command failed due to " + f.text)
	c.complain(f.named())
	return nil
}

func (c *call) printError(text string) { c.printf("\nError: %s\n", text) }

// execution is an answer's error as the tool shows those that it waited for: with its name.
func execution(err error) error {
	if err == nil {
		return nil
	}
	f := asFailure(err)
	return &failure{"java.util.concurrent.ExecutionException", f.named(), err}
}

// runtime is an error that the tool wraps in another.
func runtimeError(err error) error {
	if err == nil {
		return nil
	}
	f := asFailure(err)
	return &failure{"java.lang.RuntimeException", f.named(), err}
}

func (c *call) groupOptions() {
	p := &c.p
	p.value("bootstrap-server", "server to connect to", "REQUIRED (except with --validate-regex): nodes to ask first, host:port separated by commas.")
	p.value("group", "consumer group", "A group; can be given several times.").many()
	p.value("topic", "topic", "A topic whose offsets are deleted or reset, or partitions of one: topic:0,1,2.").many()
	p.flag("all-topics", "With --reset-offsets, all topics that the group has offsets for.")
	p.flag("list", "List the groups.")
	p.flag("describe", "Show offsets and lag of groups, or their members or state.")
	p.flag("all-groups", "All groups.")
	p.flag("delete", "Delete groups.")
	p.value("timeout", "timeout (ms)", "How long to wait for an answer.").int64().or("30000")
	p.value("command-config", "command config property file", "A file of client properties, such as those for TLS and logins.")
	p.flag("reset-offsets", "Reset the offsets of groups that nobody is in; needs a scope (--all-topics, --topic) and a place: --to-datetime, --by-duration, --to-earliest, --to-latest, --shift-by, --from-file, --to-current or --to-offset.")
	p.flag("delete-offsets", "Delete a group's offsets of topics.")
	p.flag("dry-run", "With --reset-offsets, only show what would be done: what happens without --execute, too.")
	p.flag("execute", "With --reset-offsets, do it.")
	p.flag("export", "With --reset-offsets, print CSV.")
	p.value("to-offset", "offset", "Reset to an offset.").int64()
	p.value("from-file", "path to CSV file", "Reset to what a CSV file has.")
	p.value("to-datetime", "datetime", "Reset to a time, such as 2026-01-02T03:04:05.678.")
	p.value("by-duration", "duration", "Reset to so long ago: PnDTnHnMnS.")
	p.flag("to-earliest", "Reset to the first offset.")
	p.flag("to-latest", "Reset to the end.")
	p.flag("to-current", "Reset to where the group is.")
	p.value("shift-by", "number-of-offsets", "Move by so many offsets, forwards or (-) backwards.").int64()
	p.flag("members", "With --describe, show members.").onlyWith("describe")
	p.flag("verbose", "With --describe, show more.").onlyWith("describe")
	p.flag("offsets", "With --describe, show offsets and lag: what happens anyway.").onlyWith("describe")
	p.maybe("state", "", "With --describe, show the state; with --list, show states, or groups in these states.").onlyWith("describe", "list")
	p.maybe("type", "", "With --list, show types, or groups of these types.").onlyWith("list")
	p.value("validate-regex", "regex", "Tell whether a regular expression is valid in the form of RE2.")
}

var resetScenarios = []string{"to-offset", "shift-by", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "from-file"}

const noExecute = "WARN: No action will be performed as the --execute option is missing. In version 5.0, this command will require either --dry-run or --execute to be specified. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting."

func (c *call) checkGroupOptions() error {
	l := c.line
	if !l.has("validate-regex") {
		if err := l.need("bootstrap-server"); err != nil {
			return err
		}
	}
	scope := func(action string) error {
		if l.count("group", "all-groups") == 0 {
			return usage("Option [%s] takes one of these options: [all-groups], [group]", action)
		}
		return nil
	}
	if l.has("describe") {
		if err := scope("describe"); err != nil {
			return err
		}
		if l.count("members", "offsets", "state") > 1 {
			return usage("Option [describe] takes at most one of these options: [members], [offsets], [state]")
		}
		if l.text("state") != "" {
			return usage("Option [describe] does not take a value for [state]")
		}
	}
	if l.has("delete") {
		if err := scope("delete"); err != nil {
			return err
		}
		if l.has("topic") {
			return usage("The consumer does not support topic-specific offset deletion from a consumer group.")
		}
	}
	if l.has("delete-offsets") && l.count("group", "topic") < 2 {
		return usage("Option [delete-offsets] takes the following options: [topic], [group]")
	}
	if l.has("reset-offsets") {
		if err := c.checkReset(scope); err != nil {
			return err
		}
	}
	if err := c.checkGroupPairs(); err != nil {
		return err
	}
	actions := []string{"list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"}
	if l.count(actions...) != 1 {
		return usage("Command must include exactly one action: --%s", strings.Join(actions, ", --"))
	}
	return nil
}

func (c *call) checkReset(scope func(string) error) error {
	l := c.line
	if l.count("dry-run", "execute") == 2 {
		return usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]")
	}
	if l.count("dry-run", "execute") == 0 {
		c.complain(noExecute)
	}
	if err := scope("reset-offsets"); err != nil {
		return err
	}
	for _, used := range []string{"to-offset", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current", "shift-by", "from-file"} {
		others := slices.DeleteFunc(slices.Clone(resetScenarios), func(o string) bool { return o == used })
		if err := l.forbid(used, others...); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) checkGroupPairs() error {
	if err := c.line.forbid("group", "all-groups"); err != nil {
		return err
	}
	if err := c.line.forbid("group", "list"); err != nil {
		return err
	}
	return c.line.forbid("topic", "list", "describe")
}

func (c *call) validateRegex(pattern string) error {
	_, err := syntax.Parse(pattern, syntax.Perl)
	var bad *syntax.Error
	if errors.As(err, &bad) {
		c.printf("The regular expression `%s` is invalid: %s.\n", pattern, bad.Code)
		return nil
	}
	c.printf("The regular expression `%s` is valid.\n", pattern)
	return nil
}

func (c *call) changeGroups() error {
	if err := c.line.check(); err != nil {
		return err
	}
	p, err := c.line.readPropsOf("command-config")
	if err != nil {
		return err
	}
	k, err := c.connect(p, c.line.text("bootstrap-server"), "adminclient-1", "listGroups")
	if err != nil {
		return err
	}
	defer k.Close()
	g := &groupCall{call: c, k: k}
	switch {
	case c.line.has("list"):
		return g.list()
	case c.line.has("describe"):
		return g.describe()
	case c.line.has("delete"):
		return g.delete()
	case c.line.has("delete-offsets"):
		return g.deleteOffsets()
	}
	return g.reset()
}

// groups are those that the options name.
func (g *groupCall) groups() ([]string, error) {
	if !g.line.has("all-groups") {
		return g.line.all("group"), nil
	}
	all, err := g.k.listGroups(g.ctx, nil, nil)
	if err != nil {
		return nil, runtimeError(execution(err))
	}
	var names []string
	for _, group := range all {
		names = append(names, group.Group)
	}
	return names, nil
}
