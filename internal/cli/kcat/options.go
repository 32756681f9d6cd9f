package kcat

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/cli/term"
)

// offsets that are places
const (
	atBeginning = -2
	atEnd       = -1
	atStored    = -1000
	notGiven    = -1001
)

// header is one of -H; its value may be null.
type header struct {
	key   string
	value []byte
}

// options are those of a command line.
type options struct {
	mode              byte
	auto              bool // nothing said which mode
	help, version     bool
	dump              bool
	brokers           []string
	topic             string
	group             string
	args              []string // words that are no options
	queries           []topicOffset
	partition         int32 // -1: any
	offset            int64
	tail              int64 // > 0: so many before the end
	startTime         int64 // 0: none; milliseconds
	stopTime          int64
	count             int64 // -1: no limit
	exitAtEnd         bool
	keepOnError       bool
	format            string
	json, nulls, tee  bool
	lines, unbuffered bool
	delimiter         string
	keyDelimiter      *string
	fixedKey          *string
	headers           []header
	unpackKey         string
	unpackValue       string
	verbosity         int
	metadataTimeout   time.Duration
	props             properties
	configured        bool // a file of properties was named
	warnings          []string
}

type topicOffset struct {
	topic     string
	partition int32
	offset    int64
}

func defaults() options {
	return options{partition: -1, offset: notGiven, count: -1, delimiter: `\n`, verbosity: 1, metadataTimeout: 5 * time.Second, props: properties{}}
}

const (
	withValue = "GMtpbzoDKkHdFXcfsrm"
	withNone  = "PCLQeEOqvTuZlVhJU"
)

// read takes a command line apart as getopt does: letters with one dash, together or apart, their values behind or in the next
// word, and other words anywhere.
func (o *options) read(args []string, e term.Env) error {
	for i := 0; i < len(args); i++ {
		word := args[i]
		if word == "--" {
			o.args = append(o.args, args[i+1:]...)
			break
		}
		if len(word) < 2 || word[0] != '-' {
			o.args = append(o.args, word)
			continue
		}
		for j := 1; j < len(word); j++ {
			letter := word[j]
			switch {
			case strings.IndexByte(withNone, letter) >= 0:
				if err := o.set(letter, "", e); err != nil {
					return err
				}
				continue
			case strings.IndexByte(withValue, letter) < 0:
				return &usageError{"unknown argument"}
			}
			value := word[j+1:]
			if value == "" {
				if i++; i == len(args) {
					return &usageError{"unknown argument"}
				}
				value = args[i]
			}
			if err := o.set(letter, value, e); err != nil {
				return err
			}
			break
		}
	}
	return o.finish(e)
}

func (o *options) set(letter byte, value string, e term.Env) error {
	number := func() int64 {
		n, _ := strconv.ParseInt(value, 10, 64) // what is no number is 0, as in C
		return n
	}
	switch letter {
	case 'P', 'C', 'L', 'Q':
		o.mode = letter // the last one counts
	case 'G':
		o.mode, o.group = 'G', value
	case 't':
		if o.mode != 'Q' {
			o.topic = value
			return nil
		}
		return o.addQuery(value)
	case 'p':
		o.partition = int32(number())
	case 'b':
		o.brokers = strings.Split(value, ",")
	case 'z':
		return o.props.set("compression.codec", value, o)
	case 'o':
		o.setOffset(value)
	case 'e':
		o.exitAtEnd = true
	case 'E':
		o.keepOnError = true
	case 'f':
		o.format = value
	case 'J':
		o.json = true
	case 'D':
		o.delimiter = value
	case 'K':
		o.keyDelimiter = &value
	case 'k':
		o.fixedKey = &value
	case 'H':
		return o.addHeader(value)
	case 'l':
		o.lines = true
	case 'O':
		o.warnings = append(o.warnings, "-O has no effect, as in kcat: use -f with %o")
	case 'c':
		o.count = number()
	case 'm':
		o.metadataTimeout = time.Duration(number()) * time.Second
	case 'Z':
		o.nulls = true
	case 'q':
		o.verbosity = 0
	case 'v':
		o.verbosity++
	case 'T':
		o.tee = true
	case 'u':
		o.unbuffered = true
	case 'F':
		o.configured = true
		if value != "-" && value != "none" {
			return o.readFile(value, e)
		}
	case 'X':
		return o.setProperty(value)
	case 's':
		return o.setUnpack(value)
	case 'V':
		o.version = true
	case 'h':
		o.help = true
	case 'd':
		o.warnings = append(o.warnings, "-d "+value+": there are no debug contexts in headrace kcat")
	case 'M':
		return fatal("-M: there is no mock cluster in headrace kcat; \"headrace dev\" starts a real one")
	case 'r':
		return fatal("-r: Avro and the schema registry are not there in headrace kcat")
	case 'U':
		return fatal("-U: there are no unit tests in headrace kcat")
	}
	return nil
}

func (o *options) setOffset(value string) {
	number := func(text string) int64 {
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
	o.tail = 0
	switch {
	case value == "end":
		o.offset = atEnd
	case value == "beginning":
		o.offset = atBeginning
	case value == "stored":
		o.offset = atStored
	case strings.HasPrefix(value, "s@"):
		o.startTime = number(value[2:])
	case strings.HasPrefix(value, "e@"):
		o.stopTime = number(value[2:])
	default:
		if o.offset = number(value); o.offset < 0 {
			o.tail, o.offset = -o.offset, atEnd
		}
	}
}

func (o *options) addQuery(value string) error {
	parts := strings.SplitN(value, ":", 3)
	bad := fatal("-t: expected \"topic:partition:offset_or_timestamp\"")
	if len(parts) < 3 {
		return bad
	}
	partition, perr := strconv.ParseInt(parts[1], 0, 32)
	offset, oerr := strconv.ParseInt(parts[2], 0, 64)
	if perr != nil || oerr != nil {
		return bad
	}
	o.queries = append(o.queries, topicOffset{parts[0], int32(partition), offset})
	return nil
}

func (o *options) addHeader(value string) error {
	key, text, ok := strings.Cut(value, "=")
	if key == "" {
		return fatal("Expected -H \"name=value..\" or -H \"name\"")
	}
	h := header{key: key}
	if ok {
		h.value = []byte(text)
	}
	o.headers = append(o.headers, h)
	return nil
}

func (o *options) setProperty(value string) error {
	switch value {
	case "list", "help":
		return fatal("-X %s: the properties that headrace kcat knows are %s", value, strings.Join(known(), ", "))
	case "dump":
		o.dump = true
		return nil
	}
	name, text, ok := strings.Cut(value, "=")
	if !ok {
		return &plainError{fmt.Sprintf("Expected -X property=value, not %s, use -X list to display available properties", value)}
	}
	return o.props.set(name, text, o)
}

func (o *options) setUnpack(value string) error {
	form, which := value, "" // both
	if f, ok := strings.CutPrefix(value, "key="); ok {
		form, which = f, "key"
	} else if f, ok := strings.CutPrefix(value, "value="); ok {
		form, which = f, "value"
	}
	if form == "avro" {
		return fatal("-s avro: Avro and the schema registry are not there in headrace kcat")
	}
	if form == "" {
		return fatal("%s pack-format must not be empty", cmp.Or(which, "key"))
	}
	for _, letter := range form {
		if !strings.ContainsRune(" <>bBhHiIqQcs$", letter) {
			return fatal("Invalid token '%c' in %s pack-format, see -s usage.", letter, cmp.Or(which, "key"))
		}
	}
	if which != "value" {
		o.unpackKey = form
	}
	if which != "key" {
		o.unpackValue = form
	}
	return nil
}

// finish reads the files that are looked for, and checks what belongs together.
func (o *options) finish(e term.Env) error {
	if o.help || o.version {
		return nil
	}
	if !o.configured {
		if err := o.searchFile(e); err != nil {
			return err
		}
	}
	if o.dump {
		return nil
	}
	if at := o.props["metadata.broker.list"]; len(o.brokers) == 0 && at != "" {
		o.brokers = strings.Split(at, ",")
	}
	if len(o.brokers) == 0 {
		return &usageError{"-b <broker,..> missing"}
	}
	if o.mode == 0 {
		o.mode, o.auto = 'P', true
		if f, ok := e.Stdin.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				o.mode = 'C'
			}
		}
	}
	switch {
	case strings.IndexByte("GLQ", o.mode) < 0 && o.topic == "":
		return &usageError{"-t <topic> missing"}
	case o.mode == 'Q' && o.queries == nil:
		return &usageError{"-t <topic>:<partition>:<offset_or_timestamp> missing"}
	case (o.unpackKey != "" || o.unpackValue != "") && o.mode != 'C' && o.mode != 'G':
		return fatal("-s serdes only available in the consumer")
	case o.mode == 'G' && (o.startTime != 0 || o.stopTime != 0):
		return fatal("-o ..@ timestamps can't be used with -G mode")
	}
	return nil
}
