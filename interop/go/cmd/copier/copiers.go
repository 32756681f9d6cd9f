//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// copier is one TransactionalMessageCopier after another, all of one transactional id.
type copier struct {
	id        int
	classPath string
	brokers   []string
	log       *os.File

	cmd   *exec.Cmd
	ended chan error // has how the process ended
}

func (c *copier) start() error {
	cmd := exec.Command("java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", c.classPath,
		"org.apache.kafka.tools.TransactionalMessageCopier",
		"--broker-list", strings.Join(c.brokers, ","), "--transactional-id", fmt.Sprintf("copier-%d", c.id),
		"--input-topic", input, "--input-partition", "-1", "--output-topic", output, "--consumer-group", group,
		"--group-mode", "--use-group-metadata", "--transaction-size", "500", "--transaction-timeout", "20000", "--enable-random-aborts")
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a copier: %w", err)
	}
	ended := make(chan error, 1)
	c.cmd, c.ended = cmd, ended
	go func() { ended <- cmd.Wait() }()
	return nil
}

// kill ends the process with SIGKILL, and waits for that.
func (c *copier) kill() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill() // fails only where the process has ended
		<-c.ended
		c.cmd = nil
	}
}

// over tells whether the process has ended by itself, and how.
func (c *copier) over() (bool, error) {
	select {
	case err := <-c.ended:
		c.cmd = nil
		return true, err
	default:
		return false, nil
	}
}
