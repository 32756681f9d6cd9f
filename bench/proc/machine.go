package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what a table must say of the machine it was measured on.
type Machine struct {
	Processor  string `json:"processor"`
	Processors int    `json:"processors"`
	Memory     int64  `json:"memory_bytes"`
	Kernel     string `json:"kernel"`
	FileSystem string `json:"file_system"` // of the folder that held the data
}

// ThisMachine describes the machine; dir is where the data will be.
func ThisMachine(dir string) (Machine, error) {
	m := Machine{Processors: runtime.NumCPU(), Processor: "unknown"}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.Processor = strings.TrimSpace(value)
				break
			}
		}
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return m, err
	}
	m.Memory = int64(info.Totalram) * int64(info.Unit)
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return m, err
	}
	m.Kernel = unix.ByteSliceToString(name.Release[:])
	fs, err := fileSystem(dir)
	m.FileSystem = fs
	return m, err
}

func fileSystem(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	best, kind := "", "unknown"
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		inside := f[1] == "/" || abs == f[1] || strings.HasPrefix(abs, f[1]+"/")
		if inside && len(f[1]) >= len(best) {
			best, kind = f[1], f[2]
		}
	}
	return kind, nil
}

// FreeDisk is the number of bytes that can still be written below dir.
func FreeDisk(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// Touch writes at most want bytes into memory and drops them, and returns how many. A virtual machine gets its memory from the
// host at the first touch, which would else slow down whichever system runs first.
func Touch(want int64) (int64, error) {
	const shm, leave = "/dev/shm", 4 << 30
	free, err := FreeDisk(shm)
	if err != nil {
		return 0, err
	}
	available, err := availableMemory()
	if err != nil {
		return 0, err
	}
	want = min(want, free, available-leave)
	if want <= 0 {
		return 0, nil
	}
	f, err := os.CreateTemp(shm, "headrace-bench-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4<<20)
	for i := range block {
		block[i] = 1 // a host may keep pages of zeros for itself
	}
	var written int64
	for written < want {
		n, err := f.Write(block)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func availableMemory() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no MemAvailable")
}
