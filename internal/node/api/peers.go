package api

import (
	"context"

	"github.com/headrace/headrace/internal/base/peer"
	"github.com/headrace/headrace/internal/node/transport"
)

// Peers takes what other nodes of the cluster send. Its methods may be called at the same time.
type Peers interface {
	// Hello answers who this node is, or why the caller is not welcome. What does not fit (ErrorCode) ends the connection.
	Hello(c transport.Client, req *peer.HelloRequest) *peer.HelloResponse
	// Raft takes messages in the order of their sender. They hold until it returns. While it blocks, no more are read.
	Raft(req *peer.RaftRequest)
	// Submit answers as the active controller, or says that it is not.
	Submit(ctx context.Context, req *peer.SubmitRequest) *peer.SubmitResponse
	// Join lets a node into the metadata quorum.
	Join(ctx context.Context, req *peer.JoinRequest) *peer.JoinResponse
}
