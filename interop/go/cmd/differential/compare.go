package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// left out everywhere: they say where and when, not what.
var ignored = map[string]bool{
	"Version": true, "ThrottleMillis": true, "Host": true, "Port": true, "ClusterID": true, "UnknownTags": true, "Documentation": true,
	"LastTimestamp": true, "Dir": true, "TotalBytes": true, "UsableBytes": true, "Size": true, "IsCordoned": true, "LeaderEpoch": true,
	"OffsetMetadata": true, "ProducerID": true,
}

// plain makes values that can be compared of an answer: ids become names, lists lose their order.
func (t *target) plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return t.plain(v.Elem())
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !ignored[f.Name] {
				m[f.Name] = t.plain(v.Field(i))
			}
		}
		return m
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Sprintf("%x", v.Bytes())
		}
		out := []any{}
		for i := range v.Len() {
			out = append(out, t.plain(v.Index(i)))
		}
		if v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem().Name() != "DescribeConfigsResponseResourceConfigConfigSynonym" {
			slices.SortStableFunc(out, func(a, b any) int { return strings.Compare(text(a), text(b)) })
		}
		return out
	case reflect.Array:
		id := v.Interface().([16]byte)
		if id == ([16]byte{}) {
			return "no id"
		}
		if name, ok := t.topics[id]; ok {
			return "id of " + name
		}
		return "another id"
	case reflect.String:
		s := v.String()
		if t.member != "" {
			s = strings.ReplaceAll(s, t.member, "MEMBER")
		}
		return anyID.ReplaceAllString(s, "ID")
	}
	return v.Interface()
}

var anyID = regexp.MustCompile(`[A-Za-z0-9_-]{22}\b|[0-9a-f]{8}-[0-9a-f-]{27}`)

func text(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(b.String())
}

// differ lists where two answers differ, a line each. Elements of lists go by their name where they have one; one that the
// other does not have is told as a whole.
func differ(path string, a, b any) []string {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			return differFields(path+".", x, y)
		}
	case []any:
		if y, ok := b.([]any); ok {
			return differFields(path, named(x), named(y))
		}
	}
	if s, t := text(a), text(b); s != t {
		return []string{fmt.Sprintf("%s: kafka %s, headrace %s", strings.TrimPrefix(path, "."), s, t)}
	}
	return nil
}

func differFields(path string, a, b map[string]any) (out []string) {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		x, okx := a[k]
		y, oky := b[k]
		switch {
		case okx && oky:
			out = append(out, differ(path+k, x, y)...)
		case okx:
			out = append(out, fmt.Sprintf("%s: only kafka has %.300s", strings.TrimPrefix(path+k, "."), text(x)))
		default:
			out = append(out, fmt.Sprintf("%s: only headrace has %.300s", strings.TrimPrefix(path+k, "."), text(y)))
		}
	}
	return out
}

// named keys the elements of a list by their names, and by their places where those are missing or the same.
func named(list []any) map[string]any {
	m := map[string]any{}
	for i, e := range list {
		k := "[" + label(e, i) + "]"
		for _, there := m[k]; there; _, there = m[k] {
			k += "'"
		}
		m[k] = e
	}
	return m
}

func label(v any, i int) string {
	if m, ok := v.(map[string]any); ok {
		for _, k := range []string{"Topic", "Name", "ResourceName", "Key", "Group", "Partition"} {
			if n, ok := m[k]; ok && n != nil && n != "" {
				if k == "ResourceName" {
					return fmt.Sprint(m["ResourceType"], " ", n)
				}
				return fmt.Sprint(n)
			}
		}
	}
	return fmt.Sprint(i)
}

// onlyCommonConfigs leaves in both answers the keys that both know, and tells the others.
func onlyCommonConfigs(a, b any) (onlyA, onlyB []string) {
	x, y := resources(a), resources(b)
	for name, r := range x {
		o, ok := y[name]
		if !ok {
			continue
		}
		mine, theirs := r["Configs"].([]any), o["Configs"].([]any)
		if len(mine) == 0 || len(theirs) == 0 {
			r["Configs"], o["Configs"] = fmt.Sprint(min(1, len(mine)), " or more"), fmt.Sprint(min(1, len(theirs)), " or more")
			continue // one of them refused, or has nothing set
		}
		r["Configs"], onlyA = common(mine, named(theirs), onlyA)
		o["Configs"], onlyB = common(theirs, named(mine), onlyB)
	}
	return onlyA, onlyB
}

func common(list []any, others map[string]any, only []string) ([]any, []string) {
	out := []any{}
	for _, c := range list {
		name := label(c, 0)
		if _, ok := others["["+name+"]"]; ok {
			out = append(out, c)
		} else {
			only = append(only, name)
		}
	}
	return out, only
}

// resources are the parts of an answer that have configs, by name.
func resources(answer any) map[string]map[string]any {
	out := map[string]map[string]any{}
	for _, field := range []string{"Resources", "Topics"} {
		list, _ := answer.(map[string]any)[field].([]any)
		for k, e := range named(list) {
			if m, ok := e.(map[string]any); ok {
				if _, ok := m["Configs"].([]any); ok {
					out[field+k] = m
				}
			}
		}
	}
	return out
}
