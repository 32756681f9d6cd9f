package main

import (
	"fmt"
	"os"
	"strings"
)

// testCase is one command line of the file, or a file that later ones read.
//
// A line is a command line as for a shell, with ” "" and \ as quotes. Before it may stand words that end in a colon: "sort:" the
// order of the lines does not count; "waits:" the time is not counted. Lines after it that begin with "< " are its standard
// input; \t and \e stand for a tab and for nothing. "write NAME" makes a file of such lines.
// {b} is the cluster's address, {dir} the folder of files, and a word $B is --bootstrap-server {b}.
type testCase struct {
	line          string
	program       string // "" writes a file
	args          []string
	stdin         string
	sorted, waits bool
}

func readCases(file string) ([]testCase, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []testCase
	for n, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "<"); ok && len(all) > 0 {
			last := &all[len(all)-1]
			last.stdin += strings.NewReplacer(`\t`, "\t", `\e`, "").Replace(strings.TrimPrefix(rest, " ")) + "\n"
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		c, err := parseCase(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n+1, err)
		}
		all = append(all, c)
	}
	return all, nil
}

func parseCase(line string) (testCase, error) {
	c := testCase{line: line}
	for {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "sort:":
			c.sorted = true
		case "waits:":
			c.waits = true
		default:
			words, err := split(line)
			if err != nil {
				return c, err
			}
			c.program, c.args = words[0], words[1:]
			if c.program == "write" {
				c.program = ""
			}
			return c, nil
		}
		line = rest
	}
}

// split cuts a command line into words as a shell does.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		switch b := line[i]; {
		case quote != 0 && b == quote:
			quote = 0
		case quote == '\'' || quote == '"' && b != '\\':
			word.WriteByte(b)
		case b == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			in = true
		case b == '\'' || b == '"':
			quote, in = b, true
		case b == ' ':
			if in {
				words = append(words, word.String())
				word.Reset()
			}
			in = false
		default:
			word.WriteByte(b)
			in = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
