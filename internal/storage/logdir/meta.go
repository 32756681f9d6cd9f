package logdir

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"

	"github.com/headrace/headrace/internal/base/kafka"
	"github.com/headrace/headrace/internal/base/vfs"
)

// metaFile tells which node of which cluster a log dir belongs to. Apache Kafka reads and writes the same file.
const metaFile = "meta.properties"

// Meta is the content of meta.properties.
type Meta struct {
	ClusterID   string
	NodeID      kafka.NodeID
	DirectoryID kafka.TopicID // one a log dir; zero in files of Apache Kafka before 3.7
}

// NewID makes a random id as Kafka does for clusters and directories: a version 4 UUID whose text does not begin with
// a dash, so that it can be an argument on a command line.
func NewID(rnd *rand.Rand) kafka.TopicID {
	for {
		var id kafka.TopicID
		for i := range id {
			id[i] = byte(rnd.Uint32())
		}
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' {
			return id
		}
	}
}

// validClusterID wants something that is safe in files, messages and command lines.
func validClusterID(id string) error {
	for _, r := range id {
		if r <= ' ' || r >= 0x7f {
			return fmt.Errorf("cluster.id %q contains %q: use printable ASCII without spaces", id, r)
		}
	}
	return nil
}

// reservedID tells the directory ids that mean a state and name no directory (KIP-858): 0 to 99.
func reservedID(id kafka.TopicID) bool {
	for _, b := range id[:15] {
		if b != 0 {
			return false
		}
	}
	return id[15] < 100
}

// appendMeta encodes m as java.util.Properties would store it, without the date in its comment.
func appendMeta(dst []byte, m Meta) []byte {
	dst = append(dst, "#\n"...)
	dst = appendProperty(dst, "cluster.id", m.ClusterID)
	dst = appendProperty(dst, "directory.id", m.DirectoryID.String())
	dst = appendProperty(dst, "node.id", strconv.Itoa(int(m.NodeID)))
	return appendProperty(dst, "version", "1")
}

// appendProperty escapes all that a reader of properties could take for something else. value has no characters beyond
// U+FFFF: parseMeta yields none, and validClusterID admits none.
func appendProperty(dst []byte, key, value string) []byte {
	dst = append(dst, key...)
	dst = append(dst, '=')
	for i, r := range value {
		switch {
		case r == ' ' && i == 0, r == '\\', r == '=', r == ':', r == '#', r == '!':
			dst = append(dst, '\\', byte(r))
		case r >= 0x20 && r < 0x7f:
			dst = append(dst, byte(r))
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return append(dst, '\n')
}

// parseMeta reads version 1, the only one that Apache Kafka 4 writes.
func parseMeta(b []byte) (Meta, error) {
	p, err := parseProperties(b)
	if err != nil {
		return Meta{}, fmt.Errorf("it is not a properties file: %w", err)
	}
	if v := p["version"]; v != "1" {
		return Meta{}, fmt.Errorf("its version is %q, only 1 is supported", v)
	}
	m := Meta{ClusterID: p["cluster.id"]}
	if m.ClusterID == "" {
		return Meta{}, fmt.Errorf("it has no cluster.id")
	}
	n, err := strconv.ParseInt(p["node.id"], 10, 32)
	if err != nil || n < 0 {
		return Meta{}, fmt.Errorf("its node.id is %q, want a number", p["node.id"])
	}
	m.NodeID = kafka.NodeID(n)
	dir, ok := p["directory.id"]
	if !ok {
		return m, nil
	}
	if m.DirectoryID, err = kafka.ParseTopicID(dir); err != nil {
		return Meta{}, fmt.Errorf("its directory.id is no id: %w", err)
	}
	if reservedID(m.DirectoryID) {
		return Meta{}, fmt.Errorf("its directory.id %s is reserved", dir)
	}
	return m, nil
}

// readMeta reads the file in dir; found is false when there is none.
func readMeta(fsys vfs.FS, dir string) (m Meta, found bool, err error) {
	name := filepath.Join(dir, metaFile)
	b, found, err := readSmall(fsys, name)
	if err != nil || !found {
		return Meta{}, false, err
	}
	if m, err = parseMeta(b); err != nil {
		return Meta{}, false, fmt.Errorf("%s cannot be used: %w; restore the file, or choose another directory in log.dirs", name, err)
	}
	return m, true, nil
}

// check compares what is on disk with what the configuration wants; empty wishes accept anything.
func (m Meta) check(dir string, want Meta) error {
	switch {
	case want.ClusterID != "" && m.ClusterID != want.ClusterID:
		return fmt.Errorf("log dir %s belongs to cluster %s, not to %s: correct cluster.id, or choose another directory in log.dirs",
			dir, m.ClusterID, want.ClusterID)
	case want.NodeID != kafka.NoNode && m.NodeID != want.NodeID:
		return fmt.Errorf("log dir %s belongs to node %d, not to node %d: set node.id=%d, or choose another directory in log.dirs",
			dir, m.NodeID, want.NodeID, m.NodeID)
	case !want.DirectoryID.IsZero() && m.DirectoryID != want.DirectoryID:
		return fmt.Errorf("log dir %s has the directory id %s, not %s: the disks may be mounted in each other's place",
			dir, m.DirectoryID, want.DirectoryID)
	}
	return nil
}
