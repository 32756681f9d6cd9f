package api

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/partition"
	"github.com/headrace/headrace/internal/node/transport"
)

// Controller takes requests that change metadata: quorum.Quorum is the one implementation. Submit returns when the
// change is durable, committed, applied and published here, or kerr.NotController.
type Controller interface {
	Submit(ctx context.Context, req any) (any, error)
}

// Metadata gives the newest metadata: quorum.Quorum is the one implementation.
type Metadata interface {
	Image() *metadata.Image
}

// Settings are the values of the broker's configuration that handlers look at.
type Settings struct {
	AutoCreateTopics bool          // auto.create.topics.enable
	FetchMaxBytes    int           // fetch.max.bytes
	FetchSessions    int           // max.incremental.fetch.session.cache.slots; read once
	RackAware        bool          // replica.selector.class: consumers are sent to a replica in their rack
	ReplicaLag       time.Duration // replica.lag.time.max.ms
	Throttle         conf.ThrottleConfig
}

func defaultSettings() Settings {
	return Settings{
		AutoCreateTopics: true, FetchMaxBytes: 55 << 20, FetchSessions: 1000, ReplicaLag: 30 * time.Second,
		Throttle: conf.ThrottleConfig{Leader: math.MaxInt64, Follower: math.MaxInt64, Samples: 11, Sample: time.Second},
	}
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
	Metadata   Metadata
	Partitions *partition.Set
	// AutoCreate creates topics that a client names in Metadata, and returns when they are there. What could not be
	// created is in the result. Nil means that none are.
	AutoCreate func(ctx context.Context, topics []string) map[string]error
	// Met hears of every client that asks for metadata, and must not block; nil means that nobody does.
	Met func(transport.Client)
	// Settings gives the broker's configuration as it is now; nil means defaults.
	Settings func() Settings
	// Features answers ApiVersions; nil means none.
	Features func() Features
	// Endpoint tells what kinds of nodes are asked for at a listener; nil means brokers alone.
	Endpoint func(listener string) Endpoint
	// ControllerAlone leaves only what controllers answer: the node is no broker.
	ControllerAlone bool
	// Txns is the transaction coordinator; nil means that there is none: transactions are refused.
	Txns Txns
	// Verify asks transaction coordinators; nil means that there are none: transactions are refused.
	Verify Verifier
	// Unstable has APIs be served that are not whole yet.
	Unstable bool
	// Peers takes what other nodes send; nil means that it is refused.
	Peers Peers
	Admin
}

// Server answers requests. It is safe for use by any number of connections.
type Server struct {
	Config
	ops map[opKey]transport.Op
	// entries is the table in the order of keys.
	entries     []Entry
	sessions    *fetchSessions
	replicas    replicaSessions
	throttled   *partition.Throttle // what is sent to followers whose catching up is bounded
	producerIDs producerIDs
	inflation   inflation
	failures    failures
	submits     atomic.Int64 // memory of requests that other nodes forwarded and that are under way
}

type opKey struct{ key, version int16 }

// New makes a Server.
func New(c Config) *Server {
	if c.Settings == nil {
		c.Settings = defaultSettings
	}
	s := &Server{Config: c, inflation: newInflation()}
	s.sessions = newFetchSessions(c.Settings().FetchSessions)
	s.replicas.sessions = map[int32]*replicaSession{}
	s.throttled = partition.NewThrottle(c.Settings().Throttle)
	s.entries = sorted(s.table())
	s.ops = s.operations()
	s.addPeers(s.ops)
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
