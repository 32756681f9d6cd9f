package kafkatools

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Records of __consumer_offsets as JSON, one after the other without a separator, as Kafka's formatters write them.

type coordinatorRecord struct {
	Key struct {
		Type int16 `json:"type"`
		Data any   `json:"data"`
	} `json:"key"`
	Value *coordinatorValue `json:"value"`
}

type coordinatorValue struct {
	Version int16 `json:"version"`
	Data    any   `json:"data"`
}

// offsetsFormatter prints committed offsets.
type offsetsFormatter struct{}

type offsetKeyData struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

func (offsetsFormatter) write(w *bufio.Writer, r *kgo.Record) error {
	kind, ok := recordKind(r)
	if !ok || kind > 1 {
		return nil
	}
	key := kmsg.NewOffsetCommitKey()
	if err := key.ReadFrom(r.Key); err != nil {
		return unreadable(r, err)
	}
	var line coordinatorRecord
	line.Key.Type, line.Key.Data = kind, offsetKeyData{key.Group, key.Topic, key.Partition}
	if r.Value != nil {
		version, data, err := offsetData(r.Value)
		if err != nil {
			return unreadable(r, err)
		}
		line.Value = &coordinatorValue{version, data}
	}
	return writeRecord(w, line)
}

// offsetData reads a value, and has the fields of its version.
func offsetData(b []byte) (version int16, data any, err error) {
	if len(b) >= 2 && binary.BigEndian.Uint16(b) == 4 {
		return newerOffsetData(b)
	}
	v := kmsg.NewOffsetCommitValue()
	if err := v.ReadFrom(b); err != nil {
		return 0, nil, err
	}
	switch {
	case v.Version == 1:
		data = struct {
			Offset          int64  `json:"offset"`
			Metadata        string `json:"metadata"`
			CommitTimestamp int64  `json:"commitTimestamp"`
			ExpireTimestamp int64  `json:"expireTimestamp"`
		}{v.Offset, v.Metadata, v.CommitTimestamp, v.ExpireTimestamp}
	case v.Version >= 3:
		data = struct {
			Offset          int64  `json:"offset"`
			LeaderEpoch     int32  `json:"leaderEpoch"`
			Metadata        string `json:"metadata"`
			CommitTimestamp int64  `json:"commitTimestamp"`
		}{v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp}
	default:
		data = struct {
			Offset          int64  `json:"offset"`
			Metadata        string `json:"metadata"`
			CommitTimestamp int64  `json:"commitTimestamp"`
		}{v.Offset, v.Metadata, v.CommitTimestamp}
	}
	return v.Version, data, nil
}

// newerOffsetData reads version 4, which has the topic's id as a tagged field.
func newerOffsetData(b []byte) (int16, any, error) {
	r := kbin.Reader{Src: b}
	version := r.Int16()
	data := struct {
		Offset          int64  `json:"offset"`
		LeaderEpoch     int32  `json:"leaderEpoch"`
		Metadata        string `json:"metadata"`
		CommitTimestamp int64  `json:"commitTimestamp"`
		TopicID         string `json:"topicId,omitempty"`
	}{r.Int64(), r.Int32(), r.CompactString(), r.Int64(), ""}
	for range r.Uvarint() {
		tag, size := r.Uvarint(), r.Uvarint()
		if field := r.Span(int(size)); tag == 0 && len(field) == 16 {
			data.TopicID = printID([16]byte(field))
		}
	}
	return version, data, r.Complete()
}

// groupMetadataFormatter prints classic groups.
type groupMetadataFormatter struct{}

type memberData struct {
	MemberID         string  `json:"memberId"`
	GroupInstanceID  *string `json:"groupInstanceId"`
	ClientID         string  `json:"clientId"`
	ClientHost       string  `json:"clientHost"`
	RebalanceTimeout int32   `json:"rebalanceTimeout"`
	SessionTimeout   int32   `json:"sessionTimeout"`
	Subscription     string  `json:"subscription"`
	Assignment       string  `json:"assignment"`
}

func (groupMetadataFormatter) write(w *bufio.Writer, r *kgo.Record) error {
	kind, ok := recordKind(r)
	if !ok || kind != 2 {
		return nil
	}
	key := kmsg.NewGroupMetadataKey()
	if err := key.ReadFrom(r.Key); err != nil {
		return unreadable(r, err)
	}
	var line coordinatorRecord
	line.Key.Type, line.Key.Data = kind, struct {
		Group string `json:"group"`
	}{key.Group}
	if r.Value != nil {
		v := kmsg.NewGroupMetadataValue()
		if err := v.ReadFrom(r.Value); err != nil {
			return unreadable(r, err)
		}
		members := []memberData{}
		for _, m := range v.Members {
			members = append(members, memberData{m.MemberID, m.InstanceID, m.ClientID, m.ClientHost, m.RebalanceTimeoutMillis, m.SessionTimeoutMillis,
				base64.StdEncoding.EncodeToString(m.Subscription), base64.StdEncoding.EncodeToString(m.Assignment)})
		}
		line.Value = &coordinatorValue{v.Version, struct {
			ProtocolType          string       `json:"protocolType"`
			Generation            int32        `json:"generation"`
			Protocol              *string      `json:"protocol"`
			Leader                *string      `json:"leader"`
			CurrentStateTimestamp int64        `json:"currentStateTimestamp"`
			Members               []memberData `json:"members"`
		}{v.ProtocolType, v.Generation, v.Protocol, v.Leader, v.CurrentStateTimestamp, members}}
	}
	return writeRecord(w, line)
}

// recordKind is what a record's key says that it is about.
func recordKind(r *kgo.Record) (int16, bool) {
	if len(r.Key) < 2 {
		return 0, false
	}
	return int16(binary.BigEndian.Uint16(r.Key)), true
}

func unreadable(r *kgo.Record, err error) error {
	return javaError("java.lang.RuntimeException", "Could not read record at offset %d due to: %s", r.Offset, err)
}

func writeRecord(w *bufio.Writer, line coordinatorRecord) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(line); err != nil {
		return fmt.Errorf("encode a record: %w", err)
	}
	_, err := w.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return err
}
