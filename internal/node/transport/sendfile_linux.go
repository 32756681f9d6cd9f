package transport

import (
	"cmp"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// fileSender returns sendfile(2) on nc's socket, or nil when nc is not a plain TCP or Unix connection. The offset is always
// explicit: the files are shared by every reader of a partition, and the file offset of a shared file would mix them up.
func fileSender(nc net.Conn) func(Piece) (int, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	sock, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return func(p Piece) (int, error) {
		file, err := p.OS.SyscallConn()
		if err != nil {
			return 0, err
		}
		var sent int
		var sendErr, waitErr error
		err = file.Control(func(from uintptr) {
			waitErr = sock.Write(func(to uintptr) bool {
				sent, sendErr = sendfile(int(to), int(from), p)
				return sendErr != unix.EAGAIN
			})
		})
		return sent, cmp.Or(err, waitErr, sendErr)
	}
}

func sendfile(to, from int, p Piece) (int, error) {
	for {
		off := p.Off
		n, err := unix.Sendfile(to, from, &off, p.Len)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}
