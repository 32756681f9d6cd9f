package logdir

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
	"github.com/headrace/headrace/internal/storage/commitlog"
)

// A replica that moves from one log dir to another (KIP-113) is copied into a folder of the other, its future folder, while it is
// served from its own. When the copy is whole the folders change places: the future one gets the partition's own name (Promote),
// then the former one is deleted. A crash between the two leaves the replica twice. Which one is right is told by two small files:
//
//   - movedFile is in the folder of a copy before that gets the partition's name. It names the dirs that the replica was in before, by
//     their ids. A folder of the partition in one of these is what is left of the replica before it moved.
//   - keptFile is in the folder that the replica was to leave where the change could not be completed, and it stayed. It names the dirs
//     to which the replica did not come then, by their ids, and is there before anything is appended again.
//
// So of two folders the one goes that the other's keptFile names, and else the one that the other's movedFile names. Before either is
// written both hold the same; what a later move makes untrue is taken out before that (Claim). Apache Kafka knows neither file, and
// ignores them.
const (
	movedFile = ".headrace-moved"
	keptFile  = ".headrace-kept"
)

// FutureName is the name of the folder in which a replica becomes complete that moves to a dir. Kafka draws what is the topic's id
// here.
func FutureName(tp kafka.TopicPartition, id kafka.TopicID) string {
	return nameAside(tp, id, futureSuffix)
}

// futureOf is the partition that a future folder is of. The name of a long topic may have been cut short.
func futureOf(name string) (kafka.TopicPartition, bool) {
	rest := strings.TrimSuffix(name, futureSuffix)
	tp, err := kafka.ParseTopicPartition(rest[:max(strings.LastIndexByte(rest, '.'), 0)])
	return tp, err == nil
}

// Futures lists the future folders. Of the partitions' names only the numbers are sure.
func (d *Dir) Futures() (found []Found, err error) {
	_, others, err := findPartitions(d.fs, d.path)
	if err != nil {
		return nil, fmt.Errorf("list log dir %s: %w", d.path, err)
	}
	for _, name := range others[kindFuture] {
		tp, ok := futureOf(name)
		if !ok {
			d.log.Info("ignoring a folder that is the copy of no partition", "folder", filepath.Join(d.path, name))
			continue
		}
		f := Found{Partition: tp, Dir: filepath.Join(d.path, name)}
		f.TopicID, f.Err = readTopicID(d.fs, f.Dir)
		found = append(found, f)
	}
	return found, nil
}

// OpenFuture opens the log of tp in its future folder, or makes it there.
func (d *Dir) OpenFuture(name string, tp kafka.TopicPartition, id kafka.TopicID, cfg commitlog.Config, now time.Time, rnd *rand.Rand) (*commitlog.Log, error) {
	return d.openIn(name, TakeAnyEnd, false, commitlog.OpenOptions{
		Partition: tp, TopicID: id, Config: cfg, Now: now, Rand: rnd, Lazy: true,
	})
}

// DeleteFuture is Delete for a future folder.
func (d *Dir) DeleteFuture(name string, tp kafka.TopicPartition, l *commitlog.Log) error {
	return d.deleteFolder(name, tp, l)
}

// Claim notes in the future folder of l that it is to replace the folder of the partition in from, and what the checkpoints must
// say of it by then. It is called before Promote, while the replica is still appended to where that can be; of a log that has no folder
// nothing is noted.
func (d *Dir) Claim(l *commitlog.Log, from *Dir, hw kafka.Offset) error {
	if !l.Made() {
		return nil
	}
	tp := l.Partition()
	former := from.formerDirs(tp)
	if i := slices.Index(former, d.meta.DirectoryID.String()); i >= 0 {
		former = slices.Delete(former, i, i+1)
		if err := from.writeFormer(filepath.Join(from.path, tp.String()), former); err != nil {
			return from.refusedOrFailed(fmt.Errorf("move %v: %w", tp, err))
		}
	}
	kept := from.outlived(tp)
	if i := slices.Index(kept, d.meta.DirectoryID.String()); i >= 0 {
		kept = slices.Delete(kept, i, i+1)
		if err := from.writeKept(filepath.Join(from.path, tp.String()), kept); err != nil {
			return from.refusedOrFailed(fmt.Errorf("move %v: %w", tp, err))
		}
	}
	if len(kept) > 0 {
		if err := d.writeKept(l.Dir(), kept); err != nil {
			return d.refusedOrFailed(fmt.Errorf("move %v: %w", tp, err))
		}
	}
	if err := d.writeFormer(l.Dir(), append(former, from.meta.DirectoryID.String())); err != nil {
		return d.refusedOrFailed(fmt.Errorf("move %v: %w", tp, err))
	}
	return d.Checkpoint([]*commitlog.Log{l}, func(kafka.TopicPartition) kafka.Offset { return hw })
}

func (d *Dir) writeFormer(folder string, former []string) error {
	return vfs.Replace(d.fs, filepath.Join(folder, movedFile), []byte(strings.Join(former, "\n")))
}

func (d *Dir) writeKept(folder string, over []string) error {
	return vfs.Replace(d.fs, filepath.Join(folder, keptFile), []byte(strings.Join(over, "\n")))
}

// formerDirs are the ids of the dirs in which folders of tp may be left that count no more.
func (d *Dir) formerDirs(tp kafka.TopicPartition) []string { return d.idsIn(tp, movedFile) }

// outlived are the ids of the dirs to which tp was to go from here, or from where it was before, and did not come.
func (d *Dir) outlived(tp kafka.TopicPartition) []string { return d.idsIn(tp, keptFile) }

func (d *Dir) idsIn(tp kafka.TopicPartition, file string) []string {
	b, _, err := readSmall(d.fs, filepath.Join(d.path, tp.String(), file))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// Promote makes the future log l, which holds all that from has, the partition's own in this dir, and opens it anew there: l is
// closed. After an error l is a future log yet, or the dir is offline: the replica stays where it is, for which Keep is then needed.
// cleaned is up to where the former log was compacted.
func (d *Dir) Promote(now time.Time, l *commitlog.Log, cfg commitlog.Config, cleaned, hw kafka.Offset, rnd *rand.Rand) (*commitlog.Log, error) {
	tp, folder, made := l.Partition(), l.Dir(), l.Made()
	if err := d.CloseLog(now, l, hw); err != nil {
		return nil, err
	}
	own := filepath.Join(d.path, tp.String())
	if made {
		d.mu.Lock()
		if cleaned > 0 {
			d.mu.offsets[cleanerFile][tp] = cleaned
		}
		d.mu.Unlock()
		err := d.fs.Rename(folder, own)
		if err == nil {
			err = d.fs.SyncDir(d.path)
		}
		if err != nil {
			return nil, d.refusedOrFailed(fmt.Errorf("move %v: %w", tp, err))
		}
	}
	fresh, err := d.openIn(tp.String(), TakeAnyEnd, true, commitlog.OpenOptions{
		Partition: tp, TopicID: l.TopicID(), Config: cfg, Now: now, Rand: rnd, Lazy: true,
	})
	if err != nil && made {
		d.demote(own, folder, err)
	}
	return fresh, err
}

// demote undoes a promotion.
func (d *Dir) demote(own, folder string, cause error) {
	err := d.fs.Rename(own, folder)
	if err == nil {
		err = d.fs.SyncDir(d.path)
	}
	if err != nil {
		d.Fail(errors.Join(cause, err))
	}
}

// Keep notes that tp stays in this dir, though it may be in another one, which failed, under the same name.
func (d *Dir) Keep(tp kafka.TopicPartition, over *Dir) error {
	ids := d.outlived(tp)
	if id := over.meta.DirectoryID.String(); !slices.Contains(ids, id) {
		ids = append(ids, id)
	}
	err := d.writeKept(filepath.Join(d.path, tp.String()), ids)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	err = fmt.Errorf("note that %v stays: %w", tp, err)
	d.Fail(err)
	return err
}

// Settle forgets where tp was before, when nothing of it is left in another dir.
func (d *Dir) Settle(tp kafka.TopicPartition) error {
	folder := filepath.Join(d.path, tp.String())
	err := d.fs.Remove(filepath.Join(folder, movedFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err = d.fs.SyncDir(folder)
	}
	if err != nil {
		return d.refusedOrFailed(fmt.Errorf("settle %v: %w", tp, err))
	}
	return nil
}

// Supersedes tells whether the folder of tp here is there in the place of that in other.
func (d *Dir) Supersedes(other *Dir, tp kafka.TopicPartition) bool {
	return slices.Contains(d.formerDirs(tp), other.meta.DirectoryID.String()) && !other.Outlives(d, tp)
}

// Outlives tells whether the folder of tp here stayed though that in other was to come in its place.
func (d *Dir) Outlives(other *Dir, tp kafka.TopicPartition) bool {
	return slices.Contains(d.outlived(tp), other.meta.DirectoryID.String())
}

// TakeUp gives a future folder the partition's own name, of a replica that is not there in any other dir: the dir it was in is
// broken or was taken away, and the metadata has it here.
func (d *Dir) TakeUp(name string, tp kafka.TopicPartition) error {
	own := filepath.Join(d.path, tp.String())
	if _, err := d.fs.Stat(own); err == nil {
		return nil
	}
	err := d.fs.Rename(filepath.Join(d.path, name), own)
	if err == nil {
		err = d.fs.SyncDir(d.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.refusedOrFailed(fmt.Errorf("take up %v: %w", tp, err))
	}
	return nil
}

// RemoveFuture removes a future folder that nobody uses. What is known of the partition is that of another folder, and stays.
func (d *Dir) RemoveFuture(name string) error {
	if err := d.Offline(); err != nil {
		return err
	}
	tp, _ := futureOf(name)
	folder := filepath.Join(d.path, name)
	id, _ := readTopicID(d.fs, folder)
	if err := d.remove(folder, filepath.Join(d.path, nameAside(tp, id, deleteSuffix))); err != nil {
		return d.refusedOrFailed(fmt.Errorf("remove %s: %w", folder, err))
	}
	return nil
}
