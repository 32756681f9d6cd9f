// Package proc reads what Linux tells of a process: processor time, memory, disk reads. The benchmark's works call it about the
// broker under test. A Sampler owns one goroutine until its Stop.
package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ticks of the processor clock in a second: USER_HZ, the same on every Linux that Go knows.
const ticks = 100

// CPU is the processor time that the processes have used together, with all their threads, in user and kernel mode.
func CPU(pids ...int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		one, err := parseStat(string(text))
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

func parseStat(text string) (time.Duration, error) {
	// The second field is the program's name in parentheses and may hold spaces and parentheses itself.
	_, rest, ok := cutLast(text, ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("not a stat line: %q", text)
	}
	var sum int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat line: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Memory is the memory of a process in bytes.
type Memory struct {
	Resident int64 // all pages in RAM, mapped files included
	Private  int64 // of these, pages without a file behind them: heap, stacks
	Peak     int64 // the most that was ever resident
}

// MemoryOf reads the memory of the processes and sums it up.
func MemoryOf(pids ...int) (Memory, error) {
	var sum Memory
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return Memory{}, err
		}
		one, err := parseStatus(string(text))
		if err != nil {
			return Memory{}, err
		}
		sum.Resident += one.Resident
		sum.Private += one.Private
		sum.Peak += one.Peak
	}
	return sum, nil
}

func parseStatus(text string) (Memory, error) {
	var m Memory
	want := map[string]*int64{"VmRSS": &m.Resident, "RssAnon": &m.Private, "VmHWM": &m.Peak}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		into := want[key]
		if into == nil {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("status, %s: %w", key, err)
		}
		*into = n << 10
		delete(want, key)
	}
	if len(want) > 0 {
		return Memory{}, fmt.Errorf("status holds no memory: the process has ended")
	}
	return m, nil
}

// DiskRead is the number of bytes that the process pid had fetched from a disk, so not from the page cache.
func DiskRead(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	return parseIO(string(text))
}

func parseIO(text string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "read_bytes:"); ok {
			return strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, fmt.Errorf("no read_bytes in %q", text)
}
