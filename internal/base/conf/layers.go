package conf

// Source says where a value comes from; the numbers are those of DescribeConfigs.
type Source int8

// The sources, the first one that is set wins.
const (
	SourceTopic         Source = 1
	SourceBroker        Source = 2 // set for one broker while it runs
	SourceBrokerDefault Source = 3 // set for all brokers while they run
	SourceStatic        Source = 4 // set in the file or on the command line
	SourceDefault       Source = 5
	SourceBrokerLogger  Source = 6
	SourceGroup         Source = 8
)

// String is the source as Kafka's tools print it.
func (s Source) String() string {
	switch s {
	case SourceTopic:
		return "DYNAMIC_TOPIC_CONFIG"
	case SourceBroker:
		return "DYNAMIC_BROKER_CONFIG"
	case SourceBrokerDefault:
		return "DYNAMIC_DEFAULT_BROKER_CONFIG"
	case SourceStatic:
		return "STATIC_BROKER_CONFIG"
	case SourceDefault:
		return "DEFAULT_CONFIG"
	case SourceBrokerLogger:
		return "DYNAMIC_BROKER_LOGGER_CONFIG"
	case SourceGroup:
		return "GROUP_CONFIG"
	}
	return "UNKNOWN"
}

// Layers are the broker keys of one node that are set, from the strongest to the weakest; below them lie the defaults of the
// definitions. The zero Layers are all defaults. The maps belong to the caller, who may share them and must not change them.
type Layers struct {
	Broker        map[string]string // the broker's own, from the metadata
	BrokerDefault map[string]string // the cluster's default for brokers, from the metadata
	Static        Static            // the configuration file
}

// setting is one place where a key is set.
type setting struct {
	name   string
	value  string
	source Source
}

// set lists where the named broker keys are set, in the order that decides: layer before name. Null defaults are left out.
func (l Layers) set(names []Synonym) []setting {
	var found []setting
	add := func(source Source, get func(string) (string, bool)) {
		for _, s := range names {
			if v, ok := get(s.Name); ok {
				found = append(found, setting{s.Name, v, source})
			}
		}
	}
	add(SourceBroker, func(name string) (string, bool) { v, ok := l.Broker[name]; return v, ok })
	add(SourceBrokerDefault, func(name string) (string, bool) { v, ok := l.BrokerDefault[name]; return v, ok })
	add(SourceStatic, l.Static.Get)
	add(SourceDefault, func(name string) (string, bool) {
		d, ok := Lookup(ScopeBroker, name)
		return d.Default, ok && !d.Null
	})
	return found
}

// broker resolves one broker key. A layer in which any member of the key's family is set hides the family in all layers below
// it: log.retention.ms set while running ends log.retention.hours of the file.
func (l Layers) broker(d Def) (text string, ok bool) {
	deciding := SourceDefault
	for _, s := range l.set(d.family()) {
		deciding = min(deciding, s.source)
		if s.name == d.Name && (s.source == deciding || s.source == SourceDefault) && d.Check(s.value) == nil {
			return s.value, true
		}
	}
	return "", false
}

// topic resolves one topic key: the topic's own value, else the broker keys that stand for it in the unit of the topic key,
// else its default. A stored value that its definition no longer accepts is passed over.
func (l Layers) topic(d Def, overrides map[string]string) (v value, source Source, ok bool) {
	if text, ok := overrides[d.Name]; ok {
		if v, err := parse(d, text); err == nil {
			return v, SourceTopic, true
		}
	}
	for _, s := range l.set(d.Synonyms) {
		if v, ok := convert(d, s); ok {
			return v, s.source, true
		}
	}
	v, err := parse(d, d.Default)
	return v, SourceDefault, err == nil && !d.Null
}

// convert reads the value of a broker key as one of the topic key that it stands for.
func convert(d Def, s setting) (value, bool) {
	bd, ok := Lookup(ScopeBroker, s.name)
	if !ok {
		return value{}, false
	}
	v, err := parse(bd, s.value)
	if err != nil {
		return value{}, false
	}
	v.kind = d.Kind
	for _, syn := range d.Synonyms {
		if syn.Name == s.name && syn.Factor != 1 {
			v.i = scale(v.i, syn.Factor)
		}
	}
	// Any negative time means for ever, whatever its unit.
	if d.Name == "retention.ms" && v.i < 0 {
		v.i = -1
	}
	return v, true
}

// scale multiplies without running over: a number of hours too large for milliseconds is as good as no limit.
func scale(n, factor int64) int64 {
	const most = 1<<63 - 1
	if n > most/factor {
		return most
	}
	return n * factor
}
