package conf

import (
	"fmt"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Check tells what is wrong with one key and value, as for a topic that is created or a config that is altered: an unknown key
// or a value its definition refuses. The error is an *Error that wraps kerr.InvalidConfig.
func Check(scope Scope, name, text string) error {
	d, ok := Lookup(scope, name)
	if ok {
		return d.Check(text)
	}
	if scope == ScopeTopic {
		return invalid("Unknown topic config name: " + name)
	}
	if scope == ScopeBroker {
		if l, ok := legacyOf(name); ok {
			return invalid(fmt.Sprintf("%s cannot be set: %s", name, l.why))
		}
		return unknown(scope, name)
	}
	return invalid(fmt.Sprintf("Unknown config name: %s", name))
}

// CheckTopic tells what is wrong with the overrides that a topic would have: each by itself, in the order of their names, and
// all together on top of the node's layers.
func CheckTopic(overrides map[string]string, l Layers) error {
	for _, name := range namesOf(overrides) {
		if err := Check(ScopeTopic, name, overrides[name]); err != nil {
			return err
		}
	}
	lag := func(name string) int64 {
		d, _ := Lookup(ScopeTopic, name)
		v, _, _ := l.topic(d, overrides)
		return v.i
	}
	if least, most := lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"); least > most {
		return invalid(fmt.Sprintf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", least, most))
	}
	return nil
}

// CheckBroker tells what is wrong with the keys that a change would leave set for one broker, or as the default of all (which
// perBroker tells apart). As in Apache Kafka, a key that cannot change at all is kerr.InvalidRequest; an unknown key is
// kerr.InvalidConfig.
func CheckBroker(perBroker bool, changed map[string]string) error {
	var fixed, alone []string
	for _, name := range namesOf(changed) {
		d, ok := Lookup(ScopeBroker, name)
		switch {
		case !ok:
			return Check(ScopeBroker, name, changed[name])
		case d.Update == ReadOnly:
			fixed = append(fixed, name)
		case d.Update == PerBroker && !perBroker:
			alone = append(alone, name)
		}
	}
	if len(fixed) > 0 {
		return refuseChange("Cannot update these configs dynamically: [" + strings.Join(fixed, ", ") + "]")
	}
	for _, name := range namesOf(changed) {
		if err := Check(ScopeBroker, name, changed[name]); err != nil {
			return refuseChange(err.Error())
		}
	}
	if len(alone) > 0 {
		return refuseChange("Cannot update these configs at default cluster level, broker id must be specified: [" + strings.Join(alone, ", ") + "]")
	}
	return nil
}

func refuseChange(text string) *Error { return &Error{Text: text, Code: kerr.InvalidRequest} }

func namesOf(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
