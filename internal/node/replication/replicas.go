package replication

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
	"github.com/headrace/headrace/internal/node/partition"
)

// Conn is a connection to another node: link.Conn. It carries one request at a time. The records of a Fetch answer alias a
// buffer of the Conn's until the next Request. Close ends a Request that waits.
type Conn interface {
	Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error)
	Close() error
}

// Config is what Replicas need. Every field is required.
type Config struct {
	Self kafka.NodeID
	Set  *partition.Set
	// Image gives the newest metadata that Set has taken.
	Image func() *metadata.Image
	// Dial opens a connection of a fetcher's own.
	Dial func(ctx context.Context, to kafka.NodeID) (Conn, error)
	// Request sends a request on the connection that all of this node shares.
	Request func(ctx context.Context, to kafka.NodeID, req kmsg.Request) (kmsg.Response, error)
	// Submit hands a request to the active controller, wherever it is.
	Submit func(ctx context.Context, req any) (any, error)
	// Settings gives the configuration as it is now; the number of fetchers is read once.
	Settings func() conf.ReplicasConfig
	Log      *slog.Logger
}

// Replicas are the partitions that this node follows, and the reports of those that it leads.
type Replicas struct {
	Config
}

// New makes Replicas that follow nothing before the first Apply.
func New(c Config) *Replicas { return &Replicas{Config: c} }

// Apply takes a change of the metadata, after Set has. It does not block. It is called by one goroutine, in order.
func (r *Replicas) Apply(delta *metadata.Delta, img *metadata.Image) {}

// ISRChanged tells that the in-sync replicas of a partition led here may be other ones soon: partition.Config.ISRChanged. It does
// not block.
func (r *Replicas) ISRChanged(p *partition.Partition) {}

// Close ends all goroutines and waits for them.
func (r *Replicas) Close() {}
