package conf

// Entry is one line of a DescribeConfigs answer.
type Entry struct {
	Name      string
	Value     *string // nil when it is not set, and when it is sensitive
	Source    Source
	Kind      Kind
	ReadOnly  bool
	Sensitive bool
	Synonyms  []SynonymEntry // nil unless asked for
	Doc       string         // empty unless asked for
}

// SynonymEntry is one place where an entry's value is or could come from, the strongest first.
type SynonymEntry struct {
	Name   string
	Value  *string
	Source Source
}

// Include says which of the costly parts of an Entry are wanted.
type Include struct {
	Synonyms bool
	Docs     bool
}

// Describe lists the keys of a resource with their values, sorted by name, as Kafka's DescribeConfigs does: for a topic with
// its overrides; for a broker by its number; for the empty broker name only what is set as the default of all brokers.
// overrides are those of the topic (or group) named, and are not used for brokers, whose overrides are in the layers.
func Describe(scope Scope, name string, overrides map[string]string, l Layers, include Include) []Entry {
	switch {
	case scope == ScopeBroker && name == "":
		return describeBrokerDefaults(l, include)
	case scope == ScopeBroker:
		return describeBroker(l, include)
	}
	var entries []Entry
	for _, d := range defsOf(scope) {
		if _, set := overrides[d.Name]; d.Internal && !set {
			continue
		}
		entries = append(entries, describeTopicKey(scope, d, overrides, l, include))
	}
	return entries
}

// describeTopicKey, which is also for keys of groups, follows Kafka in a habit that looks like a slip: the source and the synonyms know only the first of the
// broker keys that stand for a topic key. With log.retention.hours=24 in the file, retention.ms is shown as 86400000 and yet
// as DEFAULT_CONFIG without synonyms. Tools compare against that, so it stays.
func describeTopicKey(scope Scope, d Def, overrides map[string]string, l Layers, include Include) Entry {
	e := entryOf(d, include)
	if v, _, ok := l.topic(d, overrides); ok {
		e.Value = show(d, v.text())
	}
	var synonyms []SynonymEntry
	if _, set := overrides[d.Name]; set {
		own := SourceTopic
		if scope == ScopeGroup {
			own = SourceGroup
		}
		synonyms = append(synonyms, SynonymEntry{d.Name, e.Value, own})
	}
	if len(d.Synonyms) > 0 {
		if first, ok := Lookup(ScopeBroker, d.Synonyms[0].Name); ok {
			synonyms = append(synonyms, l.synonyms(first)...)
		}
	} else if scope == ScopeGroup { // a key of groups alone
		synonyms = append(synonyms, SynonymEntry{d.Name, show(d, d.Default), SourceDefault})
	}
	return e.with(synonyms, include)
}

func describeBroker(l Layers, include Include) []Entry {
	var entries []Entry
	for _, d := range brokerDefs {
		if s := l.set(d.family()); d.Internal && len(s) > 0 && s[0].source == SourceDefault {
			continue
		}
		e := entryOf(d, include)
		e.ReadOnly = d.Update == ReadOnly
		if text, ok := l.broker(d); ok {
			e.Value = show(d, d.Canonical(text))
		}
		entries = append(entries, e.with(l.synonyms(d), include))
	}
	return entries
}

func describeBrokerDefaults(l Layers, include Include) []Entry {
	var entries []Entry
	for _, d := range brokerDefs {
		text, set := l.BrokerDefault[d.Name]
		if !set {
			continue
		}
		e := entryOf(d, include)
		e.ReadOnly = d.Update == ReadOnly
		e.Value = show(d, text)
		entries = append(entries, e.with([]SynonymEntry{{d.Name, e.Value, SourceBrokerDefault}}, include))
	}
	return entries
}

// synonyms lists where a broker key and the family it belongs to are set, from the first that bears its own name: what stands
// before it belongs to a stronger member of the family.
func (l Layers) synonyms(d Def) []SynonymEntry {
	var entries []SynonymEntry
	for _, s := range l.set(d.family()) {
		if len(entries) > 0 || s.name == d.Name {
			entries = append(entries, SynonymEntry{s.name, show(d, s.value), s.source})
		}
	}
	return entries
}

// EffectiveTopic lists the topic keys with values and true sources, as the answer to CreateTopics gives them: without
// synonyms, with a broker key of any unit as the source, and with values as they were written.
func EffectiveTopic(overrides map[string]string, l Layers) []Entry {
	var entries []Entry
	for _, d := range topicDefs {
		if _, set := overrides[d.Name]; d.Internal && !set {
			continue
		}
		e := entryOf(d, Include{})
		if v, source, ok := l.topic(d, overrides); ok {
			e.Value, e.Source = show(d, v.text()), source
		}
		if text, set := overrides[d.Name]; set {
			e.Value = show(d, text)
		}
		entries = append(entries, e)
	}
	return entries
}

func entryOf(d Def, include Include) Entry {
	e := Entry{Name: d.Name, Source: SourceDefault, Kind: d.Kind, Sensitive: d.Sensitive()}
	if include.Docs {
		e.Doc = d.Doc
	}
	return e
}

// with gives the entry the source of the strongest synonym, and the synonyms where they are wanted.
func (e Entry) with(synonyms []SynonymEntry, include Include) Entry {
	if len(synonyms) > 0 {
		e.Source = synonyms[0].Source
	}
	if include.Synonyms {
		e.Synonyms = synonyms
	}
	return e
}

func show(d Def, text string) *string {
	if d.Sensitive() {
		return nil
	}
	return &text
}
