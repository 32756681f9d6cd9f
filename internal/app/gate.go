package app

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/node/api"
	"github.com/headrace/headrace/internal/node/transport"
)

// gate is what answers the requests of this node: those of other nodes from the moment that it listens, without which no
// quorum would come about, and those of clients when the node is ready. Until then their connections are closed, and they go
// to other nodes.
type gate struct {
	peers *api.Server // answers other nodes, always
	all   atomic.Pointer[api.Server]
}

// Lookup implements transport.Handler.
func (g *gate) Lookup(key, version int16) (transport.Op, bool) {
	if key >= peer.KeyHello {
		return g.peers.Lookup(key, version)
	}
	if s := g.all.Load(); s != nil {
		return s.Lookup(key, version)
	}
	return notReady, true
}

// notReady hangs up, whatever is asked.
var notReady = transport.Op{
	Decode: func(int16, []byte) (kmsg.Request, error) { return &kmsg.ApiVersionsRequest{}, nil },
	Weight: func(int16, []byte) (int64, error) { return 0, nil },
	Handle: func(context.Context, *transport.Call) transport.Response {
		return transport.Hangup{Reason: "the node is starting", Again: true}
	},
}
