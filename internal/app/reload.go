package app

import (
	"slices"

	"github.com/headrace/headrace/internal/base/conf"
)

// Reload takes a configuration that was read anew: keys that can change while the node runs take effect at once, and each
// other one that differs is named as what needs a restart. A configuration with a problem that would stop a start changes
// nothing.
func (n *Node) Reload(next conf.Static, problems []conf.Problem) {
	ok := true
	for _, p := range problems {
		if p.Refused {
			n.Log.Error("configuration not reloaded", "line", p.String())
			ok = false
		}
	}
	if !ok {
		return
	}
	n.publishing.Lock()
	defer n.publishing.Unlock()
	img := n.image.Load()
	before := *n.static.Load()
	renewed := before.Renewed(next)
	layers := layersIn(img, n.Config.ID, renewed)
	if _, err := conf.NewNode(layers); err != nil {
		n.Log.Error("configuration not reloaded", "line", err.Error())
		return
	}
	told := before.Warnings()
	for _, w := range next.Warnings() {
		if !slices.Contains(told, w) {
			n.Log.Warn("configuration", "line", w)
		}
	}
	n.static.Store(&renewed)
	changes := before.Changes(next)
	for _, c := range changes {
		n.tellChange(c, layers)
	}
	if len(changes) == 0 {
		n.Log.Info("configuration reloaded: nothing has changed")
		return
	}
	n.reconfigure(img)
	n.set.Reconfigure(img)
}

func (n *Node) tellChange(c conf.Change, layers conf.Layers) {
	log := n.Log.With("key", c.Key, "from", c.Old, "to", c.New)
	switch by := layers.Overruled(c.Key); {
	case !c.Dynamic:
		log.Warn("configuration changed: restart the node for it")
	case by != conf.SourceStatic:
		log.Warn("configuration changed without effect: the key was set while the node ran, and that wins", "set_as", by.String())
	default:
		log.Info("configuration changed")
	}
}
