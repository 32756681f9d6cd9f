package cli

import (
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/cli/filter"
	"github.com/headrace/headrace/internal/cli/offsets"
	"github.com/headrace/headrace/internal/cli/recordformat"
	"github.com/headrace/headrace/internal/cli/term"
)

// consumeOptions are the flags of headrace consume.
type consumeOptions struct {
	count   int64
	group   string
	follow  bool
	regex   bool
	filters string

	place  placeOptions
	show   showOptions
	topics []string
	filter *filter.Filter // nil: every record
}

// placeOptions say which part of the topics is read.
type placeOptions struct {
	fromText, toText, rangeText string
	partitions                  []int32
	committed                   bool

	from, to offsets.Position
}

func (c *command) consume() *cobra.Command {
	o := &consumeOptions{}
	cmd := &cobra.Command{
		Use: "consume TOPIC...", Short: "Print the records of topics",
		Long: "Prints the records that topics hold now, one a line, and ends. With --follow, or --from end, it goes on with records as they come, until Ctrl-C.\n" +
			"Text shows null as nothing; --format json tells null, text and binary data apart, and produce --format json reads it.\n" +
			"With --group the reading is shared with the other members of the group and goes on where the group stopped; --from is for the first time.\n\n" +
			recordformat.Help + "\n\n" +
			"--filter takes " + filter.Help + ". Records that it fails on are left out and counted.",
		Args: term.AtLeastOne("TOPIC"), ValidArgsFunction: c.at.CompleteTopics,
		Example: "  headrace consume orders --print key,value\n" +
			"  headrace consume orders --from -10 --follow\n" +
			"  headrace consume orders --offset @2026-01-02:2026-01-03 -o json\n" +
			"  headrace consume orders --offset @-1h -f '%d{rfc3339} %k %v{json}\\n' --filter 'json.price > 100'\n" +
			"  headrace consume --regex 'orders-.*' --group billing",
		RunE: func(cmd *cobra.Command, args []string) error {
			slices.Sort(args)
			o.topics = slices.Compact(args)
			if err := o.check(cmd); err != nil {
				return err
			}
			return c.runConsume(cmd.Context(), o)
		},
	}
	c.at.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.place.fromText, "from", "start", "where to begin: "+offsets.PositionHelp)
	f.StringVar(&o.place.toText, "to", "", "where to stop, in the same words; the record there is not printed (default: end, or nowhere with --follow)")
	f.StringVar(&o.place.rangeText, "offset", "", "instead of --from and --to: "+offsets.RangeHelp)
	f.BoolVar(&o.place.committed, "read-committed", true, "leave out records of transactions that are open or aborted")
	f.Int64VarP(&o.count, "count", "n", 0, "stop after so many records")
	f.Int32SliceVarP(&o.place.partitions, "partition", "p", nil, "partitions to read (default: all)")
	f.StringVarP(&o.group, "group", "g", "", "consumer group to read as")
	f.BoolVar(&o.follow, "follow", false, "go on at the end")
	f.BoolVarP(&o.regex, "regex", "r", false, "each TOPIC is a regular expression, and the topics that any of them finds are read")
	f.StringVar(&o.filters, "filter", "", "show only records for which this expression in CEL is true")
	_ = cmd.RegisterFlagCompletionFunc("group", c.at.CompleteGroups)
	o.show.flags(cmd)
	return cmd
}

// check reads the flags that have a language of their own, and refuses those that contradict each other.
func (o *consumeOptions) check(cmd *cobra.Command) error {
	ends, err := o.place.check(cmd, time.Now())
	if err != nil {
		return err
	}
	if o.place.from.Kind == offsets.FromEnd && !ends {
		o.follow = true
	}
	if err := o.show.check(cmd); err != nil {
		return err
	}
	if o.filters != "" {
		if o.filter, err = filter.Compile(o.filters); err != nil {
			return term.Usage("--filter: %s", err)
		}
	}
	switch {
	case cmd.Flags().Changed("count") && o.count < 1:
		return term.Usage("--count must be at least 1")
	case o.follow && ends && o.place.to.Kind != offsets.AtOffset:
		return term.Usage("--follow has no end: --to can only be an offset with it")
	case o.group != "" && (len(o.place.partitions) > 0 || ends):
		return term.Usage("--group reads all partitions to their ends: --partition and --to cannot be used with it")
	case o.group != "" && o.place.from.Kind != offsets.FromStart && o.place.from.Kind != offsets.FromEnd && o.place.from.Kind != offsets.AtTime:
		return term.Usage("--group remembers where it stopped: --from can only be start, end or @TIME with it")
	}
	return nil
}

// check reads the places, and tells whether there is one to stop at besides the end.
func (p *placeOptions) check(cmd *cobra.Command, now time.Time) (ends bool, err error) {
	if p.rangeText != "" {
		if cmd.Flags().Changed("from") || p.toText != "" {
			return false, term.Usage("--offset says where to begin and to stop: --from and --to cannot be used with it")
		}
		if p.from, p.to, ends, err = offsets.ParseRange(p.rangeText, now); err != nil {
			return false, term.Usage("--offset: %s", err)
		}
		if ends {
			p.toText = p.rangeText
		}
		return ends, nil
	}
	if p.from, err = offsets.ParsePosition(p.fromText, now); err != nil {
		return false, term.Usage("--from: %s", err)
	}
	p.to = offsets.Position{Kind: offsets.FromEnd}
	if p.toText != "" {
		if p.to, err = offsets.ParsePosition(p.toText, now); err != nil {
			return false, term.Usage("--to: %s", err)
		}
	}
	return p.toText != "", nil
}

func (p *placeOptions) isolation() offsets.Isolation {
	if p.committed {
		return offsets.ReadCommitted
	}
	return offsets.ReadUncommitted
}

// ends tells whether there is a place to stop at.
func (o *consumeOptions) ends() bool { return !o.follow || o.place.toText != "" }
