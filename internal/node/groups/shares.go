package groups

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/headrace/headrace/internal/core/group"
	"github.com/headrace/headrace/internal/core/group/share"
	"github.com/headrace/headrace/internal/core/machine"
)

// ShareStates is the share coordinators of the cluster, which keep what partitions of share groups remember.
type ShareStates interface {
	// Initialize begins the state of partitions, and tells for which that was done and for which not.
	Initialize(ctx context.Context, group string, stateEpoch int32, topics []share.Partitions) (done, failed []share.Partitions)
	// Delete ends the state of partitions. After an error some of it may still be there.
	Delete(ctx context.Context, group string, topics []share.Partitions) error
}

// noShareStates is a node that is to ask no share coordinator.
type noShareStates struct{}

func (noShareStates) Initialize(_ context.Context, _ string, _ int32, topics []share.Partitions) (done, failed []share.Partitions) {
	return nil, topics
}

func (noShareStates) Delete(context.Context, string, []share.Partitions) error {
	return kerr.CoordinatorNotAvailable
}

func (g *Groups) initializeShares(ctx context.Context, t group.InitializeShares, tell func(machine.Event)) {
	done, failed := g.shares.Initialize(ctx, t.Group, t.StateEpoch, t.Topics)
	tell(group.SharesInitialized{Group: t.Group, Done: done, Failed: failed})
}

func (g *Groups) deleteShares(ctx context.Context, t group.DeleteShares, tell func(machine.Event)) {
	failed := make(map[string]error)
	for _, of := range t.Groups {
		if err := g.shares.Delete(ctx, of.Group, of.Topics); err != nil {
			failed[of.Group] = err
		}
	}
	tell(group.SharesDeleted{ID: t.ID, Failed: failed})
}
