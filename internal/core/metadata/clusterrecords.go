package metadata

import (
	"github.com/twmb/franz-go/pkg/kbin"

	"github.com/headrace/headrace/internal/base/kafka"
)

// ConfigRecord sets one key of one resource, or with a nil Value takes the override away.
type ConfigRecord struct {
	Resource ConfigResource
	Name     string
	Value    *string
}

// Type implements Record.
func (*ConfigRecord) Type() RecordType { return TypeConfig }

// Version implements Record.
func (*ConfigRecord) Version() int16    { return 0 }
func (*ConfigRecord) maxVersion() int16 { return 0 }

func (c *ConfigRecord) appendFields(dst []byte, _ int16) []byte {
	dst = kbin.AppendInt8(dst, int8(c.Resource.Type))
	dst = kbin.AppendCompactString(dst, c.Resource.Name)
	dst = kbin.AppendCompactString(dst, c.Name)
	dst = kbin.AppendCompactNullableString(dst, c.Value)
	return appendNoTags(dst)
}

func (c *ConfigRecord) readFields(r *reader, _ int16) {
	c.Resource = ConfigResource{Type: ConfigType(r.Int8()), Name: r.CompactString()}
	c.Name = r.CompactString()
	c.Value = r.CompactNullableString()
	r.noTags()
}

// FeatureLevelRecord finalises a feature at a level; level 0 takes it away.
type FeatureLevelRecord struct {
	Name  string
	Level int16
}

// Type implements Record.
func (*FeatureLevelRecord) Type() RecordType { return TypeFeatureLevel }

// Version implements Record.
func (*FeatureLevelRecord) Version() int16    { return 0 }
func (*FeatureLevelRecord) maxVersion() int16 { return 0 }

func (f *FeatureLevelRecord) appendFields(dst []byte, _ int16) []byte {
	dst = kbin.AppendCompactString(dst, f.Name)
	dst = kbin.AppendInt16(dst, f.Level)
	return appendNoTags(dst)
}

func (f *FeatureLevelRecord) readFields(r *reader, _ int16) {
	f.Name = r.CompactString()
	f.Level = r.Int16()
	r.noTags()
}

// ProducerIDsRecord gives a node the block of producer ids that ends before Next.
type ProducerIDsRecord struct {
	Node      kafka.NodeID
	NodeEpoch int64
	Next      kafka.ProducerID
}

// Type implements Record.
func (*ProducerIDsRecord) Type() RecordType { return TypeProducerIDs }

// Version implements Record.
func (*ProducerIDsRecord) Version() int16    { return 0 }
func (*ProducerIDsRecord) maxVersion() int16 { return 0 }

func (p *ProducerIDsRecord) appendFields(dst []byte, _ int16) []byte {
	dst = kbin.AppendInt32(dst, int32(p.Node))
	dst = kbin.AppendInt64(dst, p.NodeEpoch)
	dst = kbin.AppendInt64(dst, int64(p.Next))
	return appendNoTags(dst)
}

func (p *ProducerIDsRecord) readFields(r *reader, _ int16) {
	p.Node = r.node()
	p.NodeEpoch = r.Int64()
	p.Next = kafka.ProducerID(r.Int64())
	r.noTags()
}

// NoOpRecord changes nothing but the offset.
type NoOpRecord struct{}

// Type implements Record.
func (*NoOpRecord) Type() RecordType { return TypeNoOp }

// Version implements Record.
func (*NoOpRecord) Version() int16    { return 0 }
func (*NoOpRecord) maxVersion() int16 { return 0 }

func (*NoOpRecord) appendFields(dst []byte, _ int16) []byte { return appendNoTags(dst) }
func (*NoOpRecord) readFields(r *reader, _ int16)           { r.noTags() }
