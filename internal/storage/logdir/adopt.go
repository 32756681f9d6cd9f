package logdir

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// Adoptable is what Inspect found in log dirs that another node, usually one of Apache Kafka, wrote.
type Adoptable struct {
	Meta   []DirMeta        // of the dirs that have a meta.properties, in their order
	Topics []AdoptableTopic // sorted by name
	// Skipped are folders that hold no partition to register: deleted and stray ones, the old cluster's metadata log.
	Skipped []string
}

// DirMeta is the meta.properties of one dir.
type DirMeta struct {
	Dir string
	Meta
}

// AdoptableTopic is a topic of which every partition is there.
type AdoptableTopic struct {
	Name       string
	ID         kafka.TopicID
	Partitions []Found // indexed by number
}

// Inspect tells which topics the partition folders in dirs, the log dirs of one stopped node, make up, so that they can
// be registered. It refuses what it cannot take over whole: a missing partition, one that is there twice, folders without
// an id or with contradicting ids, a partition that was moving between dirs, a dir that is in use. It changes nothing
// but for making the lock file.
func Inspect(fsys vfs.FS, dirs ...string) (Adoptable, error) {
	a := Adoptable{}
	var found []Found
	for _, dir := range dirs {
		f, err := a.inspectDir(fsys, dir)
		if err != nil {
			return Adoptable{}, explain(dir, err)
		}
		found = append(found, f...)
	}
	if err := a.checkMeta(); err != nil {
		return Adoptable{}, err
	}
	if err := a.group(found); err != nil {
		return Adoptable{}, err
	}
	return a, nil
}

func (a *Adoptable) inspectDir(fsys vfs.FS, dir string) ([]Found, error) {
	if _, err := fsys.ReadDir(dir); err != nil { // Lock would make the file in a missing dir's stead fail less clearly
		return nil, err
	}
	lock, err := fsys.Lock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }()
	m, ok, err := readMeta(fsys, dir)
	if err != nil {
		return nil, err
	}
	if ok {
		a.Meta = append(a.Meta, DirMeta{dir, m})
	}
	found, others, err := findPartitions(fsys, dir)
	if err != nil {
		return nil, err
	}
	if moving := others[kindFuture]; len(moving) > 0 {
		return nil, fmt.Errorf("%s: a move of this partition between log dirs was not finished: let Apache Kafka finish it, or remove the folder",
			filepath.Join(dir, moving[0]))
	}
	for _, kind := range []entryKind{kindMetadata, kindDeleted, kindStray, kindOther} {
		for _, name := range others[kind] {
			a.Skipped = append(a.Skipped, filepath.Join(dir, name))
		}
	}
	return found, nil
}

// checkMeta wants all dirs that have a meta.properties to be of one node.
func (a *Adoptable) checkMeta() error {
	for _, m := range a.Meta[min(1, len(a.Meta)):] {
		first := a.Meta[0]
		if m.ClusterID != first.ClusterID || m.NodeID != first.NodeID {
			return fmt.Errorf("%s belongs to node %d of cluster %s, but %s to node %d of cluster %s: adopt the dirs of one node at a time",
				m.Dir, m.NodeID, m.ClusterID, first.Dir, first.NodeID, first.ClusterID)
		}
	}
	return nil
}

func (a *Adoptable) group(found []Found) error {
	topics := map[string][]Found{}
	for _, f := range found {
		if f.Err != nil {
			return f.Err
		}
		if f.TopicID.IsZero() {
			return fmt.Errorf("%s has no %s, so its topic id is not known: start it once with Apache Kafka 3 or later, or remove the folder",
				f.Dir, partitionMetadataFile)
		}
		topics[f.Partition.Topic] = append(topics[f.Partition.Topic], f)
	}
	owners := map[kafka.TopicID]Found{}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		t, err := wholeTopic(name, topics[name])
		if err != nil {
			return err
		}
		if other, taken := owners[t.ID]; taken {
			return fmt.Errorf("%s and %s have the same topic id %s: remove the folders of one of the topics",
				other.Dir, t.Partitions[0].Dir, t.ID)
		}
		owners[t.ID] = t.Partitions[0]
		a.Topics = append(a.Topics, t)
	}
	return nil
}

// wholeTopic wants partitions 0 to n-1 once each, all with one id.
func wholeTopic(name string, found []Found) (AdoptableTopic, error) {
	slices.SortStableFunc(found, func(a, b Found) int { return cmp.Compare(a.Partition.Partition, b.Partition.Partition) })
	t := AdoptableTopic{Name: name, ID: found[0].TopicID, Partitions: found}
	var missing []string
	next := int32(0)
	for i, f := range found {
		if i > 0 && f.Partition == found[i-1].Partition {
			return t, fmt.Errorf("%s and %s are the same partition: remove the one that is not wanted", found[i-1].Dir, f.Dir)
		}
		if f.TopicID != t.ID {
			return t, fmt.Errorf("%s has the topic id %s, but %s has %s: remove the folders of the older topic of that name",
				f.Dir, f.TopicID, found[0].Dir, t.ID)
		}
		// Three are enough to see what is wrong, and a number may be as large as 2^31-1.
		for ; next < f.Partition.Partition && len(missing) < 3; next++ {
			missing = append(missing, kafka.TopicPartition{Topic: name, Partition: next}.String())
		}
		next = f.Partition.Partition + 1
	}
	if len(missing) > 0 {
		return t, fmt.Errorf("topic %s is not whole, %s is missing: bring all its partitions onto this node first, or remove its folders",
			name, strings.Join(missing, ", "))
	}
	return t, nil
}

// SetAsideMetadata renames the folder of a metadata log that belongs to another cluster, so that this one can begin its
// own in dir, and returns the new path, or "" when there is none. The caller has made sure that it is another's.
func SetAsideMetadata(fsys vfs.FS, dir string, rnd *rand.Rand) (string, error) {
	id := NewID(rnd)
	from := filepath.Join(dir, metadataLog)
	to := from + "." + hex.EncodeToString(id[:]) + straySuffix
	switch err := fsys.Rename(from, to); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("set aside %s: %w", from, err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return "", fmt.Errorf("set aside %s: %w", from, err)
	}
	return to, nil
}

// SetAsideMetadata renames the folder of the metadata log in an open dir, so that a new one can be made. No log of it may be open.
func (d *Dir) SetAsideMetadata(rnd *rand.Rand) (string, error) {
	d.forgetFolder(kafka.TopicPartition{Topic: kafka.MetadataTopic, Partition: 0})
	return SetAsideMetadata(d.fs, d.path, rnd)
}

// IsMetadataSetAside tells a folder that SetAsideMetadata has renamed.
func IsMetadataSetAside(e fs.DirEntry) bool {
	return e.IsDir() && strings.HasPrefix(e.Name(), metadataLog+".") && strings.HasSuffix(e.Name(), straySuffix)
}
