package conf

// Change is one key of which a configuration says something else than before.
type Change struct {
	Key      string
	Old, New string // as the settings were written; empty where the key is not set
	Where    string // the place of the new setting; empty where the key is no longer set
	Dynamic  bool   // it can take effect while the node runs
}

// Changes lists the keys of which next says something else, sorted by name.
func (s Static) Changes(next Static) []Change {
	var all []Change
	for _, d := range brokerDefs {
		was, set := s.values[d.Name]
		is, still := next.values[d.Name]
		if set == still && d.Canonical(was.text) == d.Canonical(is.text) {
			continue
		}
		c := Change{Key: d.Name, Old: was.text, New: is.text, Where: is.where, Dynamic: d.Update != ReadOnly}
		if d.Sensitive() {
			c.Old, c.New = "", ""
		}
		all = append(all, c)
	}
	return all
}

// Renewed is s with what next says of the keys that can change while a node runs. The others keep what the node started with.
func (s Static) Renewed(next Static) Static {
	renewed := s.clone()
	for _, d := range brokerDefs {
		if d.Update == ReadOnly {
			continue
		}
		delete(renewed.values, d.Name)
		if g, ok := next.values[d.Name]; ok {
			renewed.values[d.Name] = g
		}
	}
	renewed.warnings = next.warnings
	return renewed
}

// Overruled tells where a key is set that wins over what the file says, or SourceStatic where nothing does.
func (l Layers) Overruled(key string) Source {
	d, _ := Lookup(ScopeBroker, key)
	for _, s := range l.set(d.family()) {
		if s.source < SourceStatic {
			return s.source
		}
	}
	return SourceStatic
}
