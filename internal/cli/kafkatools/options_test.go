package kafkatools

import (
	"strings"
	"testing"
)

func testParser() *parser {
	p := &parser{}
	p.flag("list", "")
	p.flag("describe", "")
	p.value("topic", "", "")
	p.value("group", "", "").many()
	p.value("partitions", "", "").int32()
	p.value("keys", "", "").list()
	p.maybe("state", "", "").onlyWith("describe", "list")
	return p
}

func TestOptionsAreReadAsKafkasToolsReadThem(t *testing.T) {
	for args, want := range map[string]string{
		"--topic a --list":              "topic=a list",
		"--topic=a -list":               "topic=a list",
		"-topic a":                      "topic=a",
		"--topic --list":                "topic=--list",
		"--topic= a":                    "topic=a",
		"--list --state":                "list state",
		"--list --state empty":          "list state=empty",
		"--list --state --topic a":      "list state topic=a",
		"--list stray words --topic a":  "list topic=a",
		"--list -- --topic a":           "list",
		"--keys a,b --keys c":           "keys=a keys=b keys=c",
		"--group a --group b":           "group=a group=b",
		"--lis":                         "! lis is not a recognized option",
		"-zy":                           "! z is not a recognized option",
		"--topic":                       "! Option topic requires an argument",
		"--topic a --topic b":           "! Found multiple arguments for option topic, but you asked for only one",
		"--partitions many":             "! Cannot parse argument 'many' of option partitions",
		"--partitions 2147483648":       "! Cannot parse argument '2147483648' of option partitions",
		"--topic a --state":             "! Option(s) [state] are unavailable given other options on the command line",
		"--partitions -1 --list --list": "partitions=-1 list list",
	} {
		line, err := testParser().parse(strings.Fields(args))
		if err == nil {
			err = line.check()
		}
		if err != nil {
			if "! "+err.Error() != want {
				t.Errorf("%s: %s, want %s", args, err, want)
			}
			continue
		}
		var got []string
		used := map[string]int{}
		for _, o := range line.order {
			values := line.values[o.name]
			switch i := used[o.name]; {
			case o.commas && i == 0:
				for _, v := range values {
					got = append(got, o.name+"="+v)
				}
			case o.commas:
			case i < len(values):
				got = append(got, o.name+"="+values[i])
			default:
				got = append(got, o.name)
			}
			used[o.name]++
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", args, text, want)
		}
	}
}

func TestTopicPatternsMatchWholeNamesAndLookAhead(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"orders", "orders", true},
		{"orders", "orders2", false},
		{"a,b", "b", true},
		{"a, b", "b", true},
		{`"a"`, "a", true},
		{"(?!__).*", "__consumer_offsets", false},
		{"(?!__).*", "orders", true},
	} {
		m, err := includeList(c.pattern)
		if err != nil || m.matches(c.name) != c.want {
			t.Errorf("%s, %s: %t, %v", c.pattern, c.name, m.matches(c.name), err)
		}
	}
	if _, err := includeList("["); err == nil || err.Error() != "[ is an invalid regex." {
		t.Errorf("[: %v", err)
	}
}

func TestNumbersAreAsInJava(t *testing.T) {
	for f, want := range map[float64]string{1024: "1024.0", 50.5: "50.5", 1e7: "1.0E7", 1.25e10: "1.25E10", 0.0001: "1.0E-4", 0: "0.0"} {
		if got := javaDouble(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

func TestConstantsOfRequests(t *testing.T) {
	for name, want := range map[string]string{"DescribeClientQuotas": "DESCRIBE_CLIENT_QUOTAS", "AlterUserSCRAMCredentials": "ALTER_USER_SCRAM_CREDENTIALS"} {
		if got := constant(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
