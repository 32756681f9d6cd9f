package api

import (
	"context"
	"errors"
	"log/slog"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/node/transport"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Controller takes requests that change metadata: quorum.Quorum is the one implementation. Submit returns when the
// change is durable, committed, applied and published here, or kerr.NotController.
type Controller interface {
	Submit(ctx context.Context, req any) (any, error)
}

// Features tells which cluster features are supported and at which level each is in force, so that ApiVersions promises
// only what is there.
type Features struct {
	Supported []FeatureRange
	Finalized []FeatureLevel
	// Epoch is the offset of the metadata record that set Finalized; -1 when unknown.
	Epoch int64
}

// FeatureRange is the levels of one feature that this node can run at.
type FeatureRange struct {
	Name     string
	Min, Max int16
}

// FeatureLevel is the level at which one feature is in force in the whole cluster.
type FeatureLevel struct {
	Name  string
	Level int16
}

// Config is what a Server needs. Every field is required unless it says otherwise.
type Config struct {
	NodeID     kafka.NodeID
	Log        *slog.Logger
	Controller Controller
	// Features answers ApiVersions; nil means none.
	Features func() Features
}

// Server answers requests. It is safe for use by any number of connections.
type Server struct {
	Config
	ops map[opKey]transport.Op
	// entries is the table in the order of keys.
	entries []Entry
}

type opKey struct{ key, version int16 }

// New makes a Server.
func New(c Config) *Server {
	s := &Server{Config: c}
	s.entries = sorted(s.table())
	s.ops = s.operations()
	return s
}

// Lookup implements transport.Handler. A version outside of an API's range closes the connection, except for
// ApiVersions, whose answer tells the range.
func (s *Server) Lookup(key, version int16) (transport.Op, bool) {
	if key == int16(kmsg.ApiVersions) && (version < 0 || version > maxApiVersions) {
		version = maxApiVersions + 1
	}
	op, ok := s.ops[opKey{key, version}]
	return op, ok
}

// codeOf turns an error into its protocol code. An error without one is a defect or a failing machine: it is logged,
// and the client is told UNKNOWN_SERVER_ERROR.
func (s *Server) codeOf(err error, doing string) int16 {
	if err == nil {
		return 0
	}
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return kerr.RequestTimedOut.Code
	}
	s.Log.Error("request failed", "doing", doing, "err", err)
	return kerr.UnknownServerError.Code
}
