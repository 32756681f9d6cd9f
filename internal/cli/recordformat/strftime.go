package recordformat

import (
	"strconv"
	"time"
)

// strftimes are the conversions that Go has a layout for; appendStrftime knows the others.
var strftimes = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'd': "02", 'e': "_2", 'D': "01/02/06", 'F': "2006-01-02",
	'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05",
	'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST", 'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05",
	'f': "000000", 's': "", 'n': "", 't': "", '%': "", 'u': "", 'w': "", 'C': "", 'G': "", 'V': "", 'L': "",
}

func unknownStrftime(layout string) string {
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			continue
		}
		i++
		if i == len(layout) {
			return "% at the end"
		}
		if _, ok := strftimes[layout[i]]; !ok {
			return "%" + layout[i:i+1]
		}
	}
	return ""
}

func appendStrftime(dst []byte, layout string, at time.Time) []byte {
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			dst = append(dst, layout[i])
			continue
		}
		i++
		year, week := at.ISOWeek()
		switch c := layout[i]; c {
		case 's':
			dst = strconv.AppendInt(dst, at.Unix(), 10)
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case '%':
			dst = append(dst, '%')
		case 'u':
			dst = strconv.AppendInt(dst, int64((at.Weekday()+6)%7+1), 10)
		case 'w':
			dst = strconv.AppendInt(dst, int64(at.Weekday()), 10)
		case 'C':
			dst = appendPadded(dst, at.Year()/100, 2)
		case 'G':
			dst = appendPadded(dst, year, 4)
		case 'V':
			dst = appendPadded(dst, week, 2)
		case 'L':
			dst = appendPadded(dst, at.Nanosecond()/1e6, 3)
		case 'f':
			dst = appendPadded(dst, at.Nanosecond()/1e3, 6)
		default:
			dst = at.AppendFormat(dst, strftimes[c])
		}
	}
	return dst
}

func appendPadded(dst []byte, n, width int) []byte {
	text := strconv.Itoa(n)
	for range width - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}
