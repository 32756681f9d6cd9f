// Floor tells the processor time for a GB below which no broker on this machine can go that takes records from a socket, checks
// their CRC-32C and writes them to files through the page cache, and does nothing else: no protocol, no index, no flush, no answer.
//
//	go run ./floor                 # socket, checksum and files, apart and together
//	go run ./floor -write 16384    # the same in whole pages
//
// A thread of its own reads frames of six batches, as of a producer with default settings and six partitions, and writes each
// batch to the end of one of six files.
package main

import (
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const files = 6

// parts are what is done with each frame.
type parts struct{ socket, checksum, files bool }

func main() {
	if addr := os.Getenv("FLOOR_SEND_TO"); addr != "" {
		check(send(addr))
		return
	}
	write := flag.Int("write", 16300, "bytes of a batch; a producer's are a little under 16 KiB, and so never whole pages")
	total := flag.Int64("bytes", 2e9, "bytes of a run")
	rate := flag.Int64("rate", 220e6, "bytes a second that the sender keeps to")
	dir := flag.String("dir", "", "folder for the files (default: a new one in the system's temporary folder)")
	flag.Parse()
	if flag.NArg() > 0 || *write < 1 || *total < 1 || *rate < 1 {
		fmt.Fprintln(os.Stderr, "floor: takes no arguments, and numbers above 0; see -h")
		os.Exit(2)
	}
	check(measure(*dir, *write, *total, *rate))
}

func measure(dir string, write int, total, rate int64) error {
	dir, err := os.MkdirTemp(dir, "headrace-floor-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, p := range []parts{{socket: true}, {checksum: true}, {files: true}, {true, true, true}} {
		user, system, err := p.run(dir, write, total, rate)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		fmt.Printf("%-20s %.2f CPU-seconds a GB (%.2f user, %.2f system)\n", p, user+system, user, system)
	}
	return nil
}

func (p parts) String() string {
	switch p {
	case parts{socket: true}:
		return "socket"
	case parts{checksum: true}:
		return "checksum"
	case parts{files: true}:
		return "files"
	}
	return "all three together"
}

func (p parts) run(dir string, write int, total, rate int64) (user, system float64, err error) {
	out, err := create(dir)
	if err != nil {
		return 0, 0, err
	}
	defer out.remove()
	b := make([]byte, files*write)
	in := io.Reader(forever{})
	if p.socket {
		conn, wait, startErr := receive(len(b), total, rate)
		if startErr != nil {
			return 0, 0, startErr
		}
		defer func() { err = errors.Join(err, wait()) }()
		in = conn
	}
	runtime.LockOSThread()
	var before, after syscall.Rusage
	table := crc32.MakeTable(crc32.Castagnoli)
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return 0, 0, err
	}
	var done int64
	for done < total {
		if _, err := io.ReadFull(in, b); err != nil {
			return 0, 0, err
		}
		done += int64(len(b))
		if p.checksum {
			crc32.Checksum(b, table)
		}
		if p.files {
			if err := out.append(b, write); err != nil {
				return 0, 0, err
			}
		}
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		return 0, 0, err
	}
	perGB := func(a, b syscall.Timeval) float64 { return float64(b.Nano()-a.Nano()) / float64(done) }
	return perGB(before.Utime, after.Utime), perGB(before.Stime, after.Stime), nil
}

// forever is a source that costs nothing.
type forever struct{}

func (forever) Read(b []byte) (int, error) { return len(b), nil }

// outputs are the files, and where the next batch of each goes.
type outputs struct {
	files [files]*os.File
	ends  [files]int64
}

func create(dir string) (*outputs, error) {
	var o outputs
	for i := range o.files {
		f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return nil, err
		}
		o.files[i] = f
	}
	return &o, nil
}

func (o *outputs) append(frame []byte, write int) error {
	for i, f := range o.files {
		n, err := f.WriteAt(frame[i*write:][:write], o.ends[i])
		if err != nil {
			return err
		}
		o.ends[i] += int64(n)
	}
	return nil
}

func (o *outputs) remove() {
	for _, f := range o.files {
		f.Close()
		os.Remove(f.Name())
	}
}

// receive starts a sender as a process of its own, so that its processor time is not counted.
func receive(frame int, total, rate int64) (conn net.Conn, wait func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	sender := exec.Command(self)
	sender.Env = append(os.Environ(), "FLOOR_SEND_TO="+l.Addr().String(),
		fmt.Sprintf("FLOOR_FRAME=%d", frame), fmt.Sprintf("FLOOR_BYTES=%d", total), fmt.Sprintf("FLOOR_RATE=%d", rate))
	sender.Stderr = os.Stderr
	if err := sender.Start(); err != nil {
		return nil, nil, err
	}
	if conn, err = l.Accept(); err != nil {
		sender.Process.Kill()
		return nil, nil, errors.Join(err, sender.Wait())
	}
	return conn, func() error {
		conn.Close()
		return sender.Wait()
	}, nil
}

func send(addr string) error {
	var n [3]int64
	for i, key := range []string{"FLOOR_FRAME", "FLOOR_BYTES", "FLOOR_RATE"} {
		v, err := strconv.ParseInt(os.Getenv(key), 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		n[i] = v
	}
	frame, total, rate := make([]byte, n[0]), n[1], n[2]
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	began := time.Now()
	for sent := int64(0); sent < total; sent += int64(len(frame)) {
		if _, err := conn.Write(frame); err != nil {
			return err
		}
		time.Sleep(time.Duration(float64(sent)/float64(rate)*float64(time.Second)) - time.Since(began))
	}
	return nil
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}
