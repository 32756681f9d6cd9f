package txns

import (
	"context"
	"sync"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/core/machine"
	"github.com/headrace/headrace/internal/core/txn"
)

// term is one leadership of a partition, whose end gives up the markers that it has not written: the next coordinator writes them.
type term struct {
	epoch kafka.LeaderEpoch
	ctx   context.Context
	end   context.CancelFunc

	mu sync.Mutex
	// tells are whom to tell that markers are written. Those of one transaction are written once at a time, though a machine that loads
	// again in the same term asks again: another that is on its way, late, could otherwise end the next transaction of a v1 client.
	tells map[txn.Marker]func(machine.Event)
}

func (t *Txns) newTerm(epoch kafka.LeaderEpoch) *term {
	m := &term{epoch: epoch, tells: map[txn.Marker]func(machine.Event){}}
	m.ctx, m.end = context.WithCancel(t.ctx)
	return m
}

// write has the markers be written, and the machine that asked last be told.
func (m *term) write(to Markers, task txn.WriteMarkers, tell func(machine.Event)) {
	m.mu.Lock()
	_, writing := m.tells[task.Marker]
	m.tells[task.Marker] = tell
	m.mu.Unlock()
	if writing {
		return
	}
	to.Write(m.ctx, task, func() {
		m.mu.Lock()
		tell := m.tells[task.Marker]
		delete(m.tells, task.Marker)
		m.mu.Unlock()
		tell(txn.MarkersWritten{Marker: task.Marker})
	})
}
