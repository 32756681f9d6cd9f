package conf

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// value is one parsed value; which field holds it follows from the kind.
type value struct {
	kind Kind
	b    bool
	i    int64
	f    float64
	s    string
	list []string
}

var commaWithSpace = regexp.MustCompile(`\s*,\s*`)

// parse reads text as the key's kind and applies its rule. Errors read as Kafka's ConfigException does.
func parse(d Def, text string) (value, error) {
	v := value{kind: d.Kind}
	trimmed := strings.TrimSpace(text)
	refuse := func(shown, why string) (value, error) {
		return v, invalid(fmt.Sprintf("Invalid value %s for configuration %s: %s", shown, d.Name, why))
	}
	var err error
	switch d.Kind {
	case Boolean:
		v.b = strings.EqualFold(trimmed, "true")
		if !v.b && !strings.EqualFold(trimmed, "false") {
			return refuse(text, "Expected value to be either true or false")
		}
	case Int, Short, Long:
		v.i, err = strconv.ParseInt(trimmed, 10, map[Kind]int{Int: 32, Short: 16, Long: 64}[d.Kind])
	case Double:
		v.f, err = strconv.ParseFloat(trimmed, 64)
		if math.IsNaN(v.f) || math.IsInf(v.f, 0) {
			return refuse(text, "Value must be a finite number")
		}
	case List:
		if trimmed != "" {
			v.list = distinct(commaWithSpace.Split(trimmed, -1))
		}
	default:
		v.s = trimmed
	}
	if err != nil {
		return refuse(text, "Not a number of type "+d.Kind.String())
	}
	if why, whole := d.valid.check(v); why != "" {
		if whole {
			return v, invalid(strings.ReplaceAll(why, "{}", d.Name))
		}
		return refuse(v.text(), why)
	}
	return v, nil
}

// distinct leaves out what is in the list already; as in Apache Kafka, saying a thing twice is no error.
func distinct(list []string) []string {
	kept := list[:0]
	for _, s := range list {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// text is the value in the spelling that Kafka's DescribeConfigs gives it.
func (v value) text() string {
	switch v.kind {
	case Boolean:
		return strconv.FormatBool(v.b)
	case Int, Short, Long:
		return strconv.FormatInt(v.i, 10)
	case Double:
		return javaDouble(v.f)
	case List:
		return strings.Join(v.list, ",")
	}
	return v.s
}

// javaDouble spells a number as java.lang.Double.toString does, as far as a config value goes: always with a point, and
// with an exponent outside [0.001, 10^7).
func javaDouble(f float64) string {
	if a := math.Abs(f); f == 0 || a >= 1e-3 && a < 1e7 {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	sign := ""
	if strings.HasPrefix(exp, "-") {
		sign = "-"
	}
	return mantissa + "E" + sign + strings.TrimLeft(exp, "+-0")
}

// rule narrows the values of a kind. The zero rule accepts all.
type rule struct {
	min, max *int64
	also     *int64               // one value outside [min, max] that is accepted too
	oneOf    []string             // of a string, or of each element of a list
	why      func(v value) string // a sentence in which {} is the key
	words    string               // describes why for the documentation
}

func (r rule) check(v value) (why string, whole bool) {
	switch v.kind {
	case Int, Short, Long, Double:
		n := v.f
		if v.kind != Double {
			n = float64(v.i)
		}
		if why := r.checkNumber(n); why != "" {
			return why, false
		}
	case List:
		if slices.Contains(v.list, "") {
			return "Configuration '{}' values must not be empty.", true
		}
		for _, s := range v.list {
			if len(r.oneOf) > 0 && !slices.Contains(r.oneOf, s) {
				return fmt.Sprintf("Invalid value %s for configuration {}: String must be one of: %s", s, strings.Join(r.oneOf, ", ")), true
			}
		}
	case String:
		if len(r.oneOf) > 0 && !slices.Contains(r.oneOf, v.s) {
			return "String must be one of: " + strings.Join(r.oneOf, ", "), false
		}
	}
	if r.why != nil {
		return r.why(v), true
	}
	return "", false
}

func (r rule) checkNumber(n float64) string {
	if r.also != nil && n == float64(*r.also) {
		return ""
	}
	if r.also != nil && (n < float64(*r.min) || n > float64(*r.max)) {
		return fmt.Sprintf("Value must be between %d and %d or equal to %d", *r.min, *r.max, *r.also)
	}
	if r.min != nil && n < float64(*r.min) {
		return fmt.Sprintf("Value must be at least %d", *r.min)
	}
	if r.max != nil && n > float64(*r.max) {
		return fmt.Sprintf("Value must be no more than %d", *r.max)
	}
	return ""
}

func (r rule) text() string {
	switch {
	case r.words != "":
		return r.words
	case len(r.oneOf) > 0:
		return strings.Join(r.oneOf, ", ")
	case r.also != nil:
		return fmt.Sprintf("%d to %d, or %d", *r.min, *r.max, *r.also)
	case r.min != nil && r.max != nil:
		return fmt.Sprintf("%d to %d", *r.min, *r.max)
	case r.min != nil:
		return fmt.Sprintf("at least %d", *r.min)
	}
	return ""
}

func atLeast(n int64) rule            { return rule{min: &n} }
func between(lo, hi int64) rule       { return rule{min: &lo, max: &hi} }
func betweenOr(lo, hi, or int64) rule { return rule{min: &lo, max: &hi, also: &or} }
func oneOf(values ...string) rule     { return rule{oneOf: values} }
