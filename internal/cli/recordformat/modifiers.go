package recordformat

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// bytes reads the modifier of a verb that shows text or bytes.
func (p *parser) bytes(at int, get func(*Input) []byte) (part, error) {
	modifier, err := p.modifier()
	if err != nil {
		return nil, err
	}
	name, inside := argument(modifier)
	var encode func(dst, text []byte) []byte
	switch name {
	case "":
		encode = func(dst, text []byte) []byte { return append(dst, text...) }
	case "hex":
		encode = hex.AppendEncode
	case "base64":
		encode = base64.StdEncoding.AppendEncode
	case "base64raw":
		encode = base64.RawStdEncoding.AppendEncode
	case "json":
		encode = appendJSONValue
	case "len":
		encode = func(dst, text []byte) []byte { return strconv.AppendInt(dst, int64(len(text)), 10) }
	case "unpack":
		if bad := strings.IndexFunc(inside, func(r rune) bool { return !strings.ContainsRune("<>bBhHiIqQc.s$", r) }); bad >= 0 || inside == "" {
			return nil, p.wrong(at, "unpack wants the letters < > b B h H i I q Q c . s $ in brackets, not %q", inside)
		}
		encode = func(dst, text []byte) []byte { return appendUnpacked(dst, text, inside) }
	default:
		return nil, p.wrong(at, "{%s} is not known of text: hex, base64, base64raw, json, len and unpack[…] are", modifier)
	}
	if inside != "" && name != "unpack" {
		return nil, p.wrong(at, "{%s} takes nothing in brackets", name)
	}
	return func(dst []byte, in *Input) []byte { return encode(dst, get(in)) }, nil
}

// appendJSONValue adds text as a JSON value on one line: as it is where it is JSON, otherwise as a string (bytes that are no text
// in base64); null is null.
func appendJSONValue(dst, text []byte) []byte {
	switch {
	case text == nil:
		return append(dst, "null"...)
	case !utf8.Valid(text):
		return appendString(dst, base64.StdEncoding.EncodeToString(text))
	case !json.Valid(text):
		return appendString(dst, string(text))
	}
	var b bytes.Buffer
	_ = json.Compact(&b, text) // it is valid
	return append(dst, b.Bytes()...)
}

// number reads the modifier of a verb that shows a number.
func (p *parser) number(at int, get func(*Input) int64) (part, error) {
	modifier, err := p.modifier()
	if err != nil {
		return nil, err
	}
	encode := numberForm(modifier)
	if encode == nil {
		return nil, p.wrong(at, "{%s} is not known of numbers: hex, hex4 to hex64, big8 to big64, little8 to little64, byte and bool are", modifier)
	}
	return func(dst []byte, in *Input) []byte { return encode(dst, get(in)) }, nil
}

// numberForm is the way to write a number that the modifier names, or nil.
func numberForm(modifier string) func([]byte, int64) []byte {
	switch modifier {
	case "", "ascii", "number":
		return func(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
	case "hex":
		return func(dst []byte, n int64) []byte { return strconv.AppendUint(dst, uint64(n), 16) }
	case "byte", "big8", "little8":
		return func(dst []byte, n int64) []byte { return append(dst, byte(n)) }
	case "bool":
		return func(dst []byte, n int64) []byte { return strconv.AppendBool(dst, n != 0) }
	case "big16":
		return func(dst []byte, n int64) []byte { return binary.BigEndian.AppendUint16(dst, uint16(n)) }
	case "big32":
		return func(dst []byte, n int64) []byte { return binary.BigEndian.AppendUint32(dst, uint32(n)) }
	case "big64":
		return func(dst []byte, n int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(n)) }
	case "little16":
		return func(dst []byte, n int64) []byte { return binary.LittleEndian.AppendUint16(dst, uint16(n)) }
	case "little32":
		return func(dst []byte, n int64) []byte { return binary.LittleEndian.AppendUint32(dst, uint32(n)) }
	case "little64":
		return func(dst []byte, n int64) []byte { return binary.LittleEndian.AppendUint64(dst, uint64(n)) }
	case "hex4", "hex8", "hex16", "hex32", "hex64":
		bits, _ := strconv.Atoi(modifier[3:])
		return func(dst []byte, n int64) []byte {
			for shift := bits - 4; shift >= 0; shift -= 4 {
				dst = append(dst, "0123456789abcdef"[uint64(n)>>shift&0xf])
			}
			return dst
		}
	}
	return nil
}

// timestamp reads the modifier of %d.
func (p *parser) timestamp(at int) (part, error) {
	modifier, err := p.modifier()
	if err != nil {
		return nil, err
	}
	name, inside := argument(modifier)
	layout := func(layout string) (part, error) {
		return func(dst []byte, in *Input) []byte { return in.Timestamp.UTC().AppendFormat(dst, layout) }, nil
	}
	switch name {
	case "rfc3339":
		return layout("2006-01-02T15:04:05.000Z07:00")
	case "go":
		if inside == "" {
			return nil, p.wrong(at, "{go} wants a layout in brackets, such as {go[2006-01-02 15:04:05]}")
		}
		return layout(inside)
	case "strftime":
		if inside == "" {
			return nil, p.wrong(at, "{strftime} wants a layout in brackets, such as {strftime[%%F %%T]}")
		}
		if bad := unknownStrftime(inside); bad != "" {
			return nil, p.wrong(at, "strftime: %s is not known", bad)
		}
		return func(dst []byte, in *Input) []byte { return appendStrftime(dst, inside, in.Timestamp.UTC()) }, nil
	}
	encode := numberForm(modifier)
	if encode == nil {
		return nil, p.wrong(at, "{%s} is not known of timestamps: rfc3339, go[…], strftime[…] and those of numbers are", modifier)
	}
	return func(dst []byte, in *Input) []byte { return encode(dst, in.Timestamp.UnixMilli()) }, nil
}

// attributes reads the modifier of %a: which of them, and after a semicolon how to write it as a number.
func (p *parser) attributes(at int) (part, error) {
	modifier, err := p.modifier()
	if err != nil {
		return nil, err
	}
	which, form, hasForm := strings.Cut(modifier, ";")
	bit := func(set bool) int64 {
		if set {
			return 1
		}
		return 0
	}
	var get func(*Input) int64
	switch which {
	case "compression":
		get = func(in *Input) int64 { return int64(in.Attrs.CompressionType()) }
		if !hasForm {
			return func(dst []byte, in *Input) []byte { return append(dst, codecName(get(in))...) }, nil
		}
	case "timestamp-type":
		get = func(in *Input) int64 { return int64(in.Attrs.TimestampType()) }
	case "transactional-bit":
		get = func(in *Input) int64 { return bit(in.Attrs.IsTransactional()) }
	case "control-bit":
		get = func(in *Input) int64 { return bit(in.Attrs.IsControl()) }
	default:
		return nil, p.wrong(at, "%%a wants one of {compression}, {timestamp-type}, {transactional-bit}, {control-bit}")
	}
	encode := numberForm(form)
	if encode == nil {
		return nil, p.wrong(at, "{%s} is not known of numbers", form)
	}
	return func(dst []byte, in *Input) []byte { return encode(dst, get(in)) }, nil
}

func codecName(n int64) string {
	names := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	if n < 0 || n >= int64(len(names)) {
		return "unknown"
	}
	return names[n]
}
