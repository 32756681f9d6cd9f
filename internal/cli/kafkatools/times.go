package kafkatools

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// dateTime reads a time as --to-datetime has it: 2026-01-02T03:04:05.678, in UTC unless it says otherwise.
func dateTime(text string) (time.Time, error) {
	_, clock, ok := strings.Cut(text, "T")
	if !ok {
		return time.Time{}, parseError("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format")
	}
	if !strings.ContainsAny(clock, "+-Z") {
		text += "Z"
	}
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, parseError("Unparseable date: \"" + text + "\"")
}

func parseError(text string) error {
	return javaError("java.lang.RuntimeException", "java.text.ParseException: %s", text)
}

var durationForm = regexp.MustCompile(`(?i)^([-+]?)P(?:([-+]?[0-9]+)D)?(?:T(?:([-+]?[0-9]+)H)?(?:([-+]?[0-9]+)M)?(?:([-+]?[0-9]+(?:[.,][0-9]{0,9})?)S)?)?$`)

// isoDuration reads a duration such as P1DT2H3M4.5S.
func isoDuration(text string) (time.Duration, error) {
	m := durationForm.FindStringSubmatch(text)
	upper := strings.ToUpper(text)
	if m == nil || strings.HasSuffix(upper, "T") || strings.HasSuffix(upper, "P") {
		return 0, javaError("java.time.format.DateTimeParseException", "Text cannot be parsed to a Duration")
	}
	var d time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute} {
		n, _ := strconv.ParseInt(m[i+2], 10, 64)
		d += time.Duration(n) * unit
	}
	seconds, _ := strconv.ParseFloat(strings.Replace(m[5], ",", ".", 1), 64)
	d += time.Duration(seconds * float64(time.Second))
	if m[1] == "-" {
		d = -d
	}
	return d, nil
}
