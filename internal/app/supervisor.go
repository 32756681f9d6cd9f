package app

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// supervisor is the service manager, told of the node's state by the protocol of systemd's sd_notify: lines in a datagram to
// the socket that NOTIFY_SOCKET names. Without a socket nothing is told.
type supervisor struct {
	socket   string
	watchdog time.Duration // 0: none
	log      *slog.Logger
}

// supervisor reads what the service manager left in the environment. A WATCHDOG_PID of another process is not looked at: the
// node is started directly.
func (env Env) supervisor(log *slog.Logger) supervisor {
	s := supervisor{socket: env.Getenv("NOTIFY_SOCKET"), log: log}
	if usec, err := strconv.ParseInt(env.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		s.watchdog = time.Duration(usec) * time.Microsecond
	}
	return s
}

func (s supervisor) tell(lines ...string) {
	if s.socket == "" {
		return
	}
	address := s.socket
	if strings.HasPrefix(address, "@") {
		address = "\x00" + address[1:] // a name that is no file
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(strings.Join(lines, "\n")))
		conn.Close()
	}
	if err != nil {
		s.log.Warn("the service manager cannot be told of the node's state", "err", err)
	}
}

// reloading says that the configuration is being read again; READY=1 ends it.
func (s supervisor) reloading() {
	s.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", monotonic().Microseconds()))
}

// heartbeat ticks at half the time after which the service manager takes a silent node for hung.
func (s supervisor) heartbeat() (<-chan time.Time, func()) {
	if s.socket == "" || s.watchdog == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(s.watchdog / 2)
	return t.C, t.Stop
}
