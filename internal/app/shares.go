package app

import (
	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/core/metadata"
	core "github.com/headrace/headrace/internal/core/share"
	"github.com/headrace/headrace/internal/node/shares"
)

// newShares makes the leader's side of share groups.
func (n *Node) newShares() *shares.Shares {
	return shares.New(shares.Config{
		Node: n.Config.ID, Partitions: n.set, Image: n.image.Load, States: n.shareState,
		Group:       n.shareSettings,
		MaxSessions: n.Config.Groups.Share.MaxSessions,
		Log:         n.Log.With("component", "share"),
	})
}

// shareConfig is the configuration of a share group as it is now.
func (n *Node) shareConfig(name string) conf.ShareGroupsConfig {
	return n.current.Load().Groups.Share.Of(n.image.Load().Config(metadata.ConfigResource{Type: metadata.GroupConfig, Name: name}))
}

func (n *Node) shareSettings(name string) shares.Group {
	c := n.shareConfig(name)
	at, _ := conf.ParseReset(c.Reset)
	return shares.Group{
		Settings:  core.Settings{MaxLocks: c.Locks(), MaxDeliveries: c.Deliveries(), LockDuration: c.Lock(), Renew: c.Renew},
		Committed: c.Committed, Reset: shares.Reset{Earliest: at.Earliest, Ago: at.Ago},
	}
}
