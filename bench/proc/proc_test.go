package proc

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestProcessorTimeIsUserAndKernel(t *testing.T) {
	got, err := parseStat("42 (a (very) odd) name) S 1 42 42 0 -1 4194304 900 0 0 0 1234 66 7 8 20 0 9 0 100 1 2\n")
	if err != nil || got != 13*time.Second {
		t.Errorf("parseStat = %s, %v, want 13s", got, err)
	}
	for _, bad := range []string{"", "42 (x) S 1 2", "42 (x) S 1 2 3 4 5 6 7 8 9 10 x y z"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q passes as a stat line", bad)
		}
	}
}

func TestMemoryOfAStatusFile(t *testing.T) {
	m, err := parseStatus("Name:\tjava\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\nRssAnon:\t     512 kB\nRssFile:\t 512 kB\n")
	if err != nil || m != (Memory{Resident: 1 << 20, Private: 512 << 10, Peak: 2 << 20}) {
		t.Errorf("parseStatus = %+v, %v", m, err)
	}
	if _, err := parseStatus("Name:\tjava\nState:\tZ (zombie)\n"); err == nil {
		t.Error("a process that has ended has memory")
	}
}

func TestDiskReadIsNotWhatTheCacheGave(t *testing.T) {
	n, err := parseIO("rchar: 900\nwchar: 3\nread_bytes: 4096\nwrite_bytes: 7\n")
	if err != nil || n != 4096 {
		t.Errorf("parseIO = %d, %v, want 4096", n, err)
	}
	if _, err := parseIO("rchar: 900\n"); err == nil {
		t.Error("a file without read_bytes passes")
	}
}

func TestSamplerSeesThisProcess(t *testing.T) {
	s := Watch(os.Getpid())
	most, err := s.Stop()
	if err != nil || most.Resident <= 0 || most.Private <= 0 || most.Peak < most.Resident {
		t.Errorf("Stop = %+v, %v", most, err)
	}
}

func TestSamplerTellsOfAProcessThatIsGone(t *testing.T) {
	if _, err := Watch(1 << 30).Stop(); err == nil {
		t.Error("no error about a process that is not there")
	}
}

func TestEvictTakesRecordFilesAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"0.log", "5.log", "0.index"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 8192), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n, err := Evict(dir, func(path string) bool { return filepath.Base(path) == "5.log" })
	if err != nil || n != 8192 {
		t.Errorf("Evict = %d, %v, want the 8192 bytes of 0.log", n, err)
	}
}

func TestThisMachine(t *testing.T) {
	m, err := ThisMachine(t.TempDir())
	if err != nil || m.Memory <= 0 || m.Kernel == "" || m.FileSystem == "" {
		t.Errorf("ThisMachine = %+v, %v", m, err)
	}
}
