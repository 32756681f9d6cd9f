package proc

import (
	"sync"
	"time"
)

// sampleEvery is how often a Sampler looks.
const sampleEvery = 100 * time.Millisecond

// Sampler watches the memory of processes, summed up, and keeps the most it saw.
type Sampler struct {
	stop chan struct{}
	done sync.WaitGroup
	most Memory
	err  error
}

// Watch starts to sample the processes.
func Watch(pids ...int) *Sampler {
	s := &Sampler{stop: make(chan struct{})}
	s.done.Go(func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			m, err := MemoryOf(pids...)
			if err != nil {
				s.err = err
				return
			}
			s.most.Resident = max(s.most.Resident, m.Resident)
			s.most.Private = max(s.most.Private, m.Private)
			s.most.Peak = max(s.most.Peak, m.Peak)
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
		}
	})
	return s
}

// Stop ends the watch and returns the most that was seen. It is to be called once.
func (s *Sampler) Stop() (Memory, error) {
	close(s.stop)
	s.done.Wait()
	return s.most, s.err
}
