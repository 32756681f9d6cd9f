package quorum

import (
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/proto"
)

func unmarshal(b []byte, m proto.Message) error { return proto.Unmarshal(b, m) }

// raftLogger gives raft's messages to slog. What raft calls info is its inner life, which is for debugging.
type raftLogger struct{ log *slog.Logger }

func (r raftLogger) Debug(v ...any) { r.log.Debug("raft", "message", fmt.Sprint(v...)) }
func (r raftLogger) Debugf(format string, v ...any) {
	r.log.Debug("raft", "message", fmt.Sprintf(format, v...))
}
func (r raftLogger) Info(v ...any) { r.log.Debug("raft", "message", fmt.Sprint(v...)) }
func (r raftLogger) Infof(format string, v ...any) {
	r.log.Debug("raft", "message", fmt.Sprintf(format, v...))
}
func (r raftLogger) Warning(v ...any) { r.log.Warn("raft", "message", fmt.Sprint(v...)) }
func (r raftLogger) Warningf(format string, v ...any) {
	r.log.Warn("raft", "message", fmt.Sprintf(format, v...))
}
func (r raftLogger) Error(v ...any) { r.log.Error("raft", "message", fmt.Sprint(v...)) }
func (r raftLogger) Errorf(format string, v ...any) {
	r.log.Error("raft", "message", fmt.Sprintf(format, v...))
}

// Raft panics, and calls Fatal, only where its own invariants are broken.
func (r raftLogger) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (r raftLogger) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (r raftLogger) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (r raftLogger) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
