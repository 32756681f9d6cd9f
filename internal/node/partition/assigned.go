package partition

import (
	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/metadata"
)

// The metadata knows which log dir each replica is in, so that the controller can have others lead what is in one that failed. Where
// a node has several, it chooses, and node/replication tells the controller by Assignment.

// id is the directory's, or LostDir for one that could not be opened: its id is not known.
func (d *dir) id() kafka.TopicID {
	if id := d.Meta().DirectoryID; !id.IsZero() {
		return id
	}
	return metadata.LostDir
}

// assigned is the dir that the metadata has a replica in; nil where it may be in any. A directory that none of the dirs is may be one
// that could not be opened: to begin anew elsewhere would have the replica twice when it is back. So may be one that the metadata does
// not name, of a replica that is older than this process.
func (s *Set) assigned(id kafka.TopicID) *dir {
	var unopened *dir
	for _, d := range s.dirs {
		if d.id() == id {
			return d
		}
		if d.id() == metadata.LostDir {
			unopened = d
		}
	}
	if metadata.ReservedDir(id) && s.nodes.Load().registered {
		return nil
	}
	return unopened
}

// Assignment is the directory that the replica is in, or is about to be in, and whether the metadata has it elsewhere. What it has of the process before
// this one does not count: the controller goes by it to tell which replicas were lost with a directory.
func (p *Partition) Assignment() (dir kafka.TopicID, news bool) {
	p.role.RLock()
	defer p.role.RUnlock()
	if p.role.ended != nil || !p.set.nodes.Load().registered {
		return kafka.TopicID{}, false
	}
	dir, given := p.dir().id(), p.role.given.Directory(p.set.Node)
	if m := p.role.move; m != nil && m.caught.Load() {
		dir = m.to.id() // where it will be as soon as the metadata says so
	}
	if dir == metadata.LostDir && !metadata.ReservedDir(given) {
		return dir, false // it is known where it is, and by its absence that that is offline
	}
	return dir, dir != given
}

// Offline tells whether the replica's log dir has failed.
func (p *Partition) Offline() bool { return p.dir().offline() != nil }
