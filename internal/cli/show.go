package cli

import (
	"bufio"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/headrace/headrace/internal/cli/recordformat"
	"github.com/headrace/headrace/internal/cli/term"
)

// showOptions say what a record looks like.
type showOptions struct {
	format, print, separator string
	output                   *term.Form

	fields   []string
	template *recordformat.Template // instead of fields
}

func (s *showOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&s.format, "format", "f", "text", `text, json, or a format of its own such as '%k %v\n'`)
	f.StringVar(&s.print, "print", "value", "what a line of text shows: topic, partition, offset, timestamp, key, headers, value, or all")
	f.StringVar(&s.separator, "separator", `\t`, `what stands between these; \t, \n and \x1f are understood`)
	s.output = term.OutputFlag(cmd)
	f.Lookup("output").Usage = "table (lines of text), json (a line a record, as --format json) or yaml (a document a record)"
}

func (s *showOptions) check(cmd *cobra.Command) error {
	var err error
	if s.fields, err = recordformat.ParseFields(s.print); err != nil {
		return term.Usage("--print: %s", err)
	}
	if s.separator, err = recordformat.Unescape(s.separator); err != nil {
		return term.Usage("--separator: %s", err)
	}
	if *s.output != term.FormTable {
		if cmd.Flags().Changed("format") && s.format != "json" {
			return term.Usage("--format %s and --output %s contradict each other", s.format, *s.output)
		}
		s.format = "json"
	}
	if s.format != "text" && (cmd.Flags().Changed("print") || cmd.Flags().Changed("separator")) {
		return term.Usage("--print and --separator are for --format text")
	}
	switch {
	case s.format == "text" || s.format == "json":
		return nil
	case strings.HasPrefix(s.format, "-"):
		return term.Usage("--format wants text, json or a format, not %q (-f is --format; to go on at the end, give --follow)", s.format)
	case !strings.ContainsAny(s.format, `%\`):
		return term.Usage(`--format must be text, json or a format such as '%%k %%v\n', not %q`, s.format)
	}
	if s.template, err = recordformat.Parse(s.format); err != nil {
		return term.Usage("--format: %s", err)
	}
	return nil
}

// shower writes records as the options say.
type shower struct {
	o    *showOptions
	out  *bufio.Writer
	text []byte
}

// write writes one record, the number-th of the output, which came with what fetch tells of its partition.
func (s *shower) write(rec *kgo.Record, number int64, fetch kgo.FetchPartition) error {
	switch {
	case *s.o.output == term.FormYAML:
		return recordformat.WriteYAML(s.out, rec)
	case s.o.template != nil:
		s.text = s.o.template.Append(s.text[:0], &recordformat.Input{
			Record: rec, Number: number, LogStart: fetch.LogStartOffset, LastStable: fetch.LastStableOffset, HighWater: fetch.HighWatermark,
		})
	case s.o.format == "json":
		s.text = append(recordformat.AppendJSON(s.text[:0], rec), '\n')
	default:
		s.text = append(recordformat.AppendText(s.text[:0], rec, s.o.fields, s.o.separator), '\n')
	}
	_, err := s.out.Write(s.text)
	return err
}
