package load

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/headrace/headrace/interop/go/history"
)

// librdkafka runs the Python client, whose lines are told in its own text, until enough was sent, and notes what it says.
func (l *Load) librdkafka() error {
	producer, consumer := l.cfg.Recorder.Producer(), l.cfg.Recorder.Consumer("librdkafka", "librdkafka")
	cmd := exec.Command(l.cfg.Python, l.cfg.PythonClient)
	cmd.Env = append(os.Environ(),
		"FAULTS_BOOTSTRAP="+strings.Join(l.cfg.Seeds, ","), "FAULTS_TOPIC="+l.cfg.Topic,
		"FAULTS_PARTITIONS="+strconv.Itoa(int(l.cfg.Partitions)), "FAULTS_RATE="+strconv.Itoa(1+l.cfg.Rate/10),
		"FAULTS_PROCESS="+strconv.Itoa(producer.ID()), "FAULTS_STEADY="+strconv.FormatBool(l.cfg.Steady))
	said := &strings.Builder{}
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	l.writers.Go(func() {
		<-l.sending.Done()
		in.Close()
		select {
		case <-ended:
		case <-time.After(45 * time.Second):
			_ = cmd.Process.Kill()
		}
	})
	l.readers.Go(func() {
		defer close(ended)
		err := follow(out, &foreign{l: l, producer: producer, consumer: consumer, begun: map[string]int64{}})
		if err != nil {
			_ = cmd.Process.Kill() // it would wait for somebody to read
		}
		if wait := cmd.Wait(); err == nil {
			err = wait
		}
		if err != nil {
			l.cfg.Note("client", fmt.Sprintf("librdkafka: %v; it says: %s", err, ending(said.String())))
		}
	})
	return nil
}

func ending(s string) string { return s[max(0, len(s)-500):] }

// foreign is the log of a client in another process.
type foreign struct {
	l        *Load
	sent     []int32 // the partitions of what was sent
	producer *history.Producer
	consumer *history.Consumer
	begun    map[string]int64 // commits on their way
}

const maxLine = 1 << 20

func follow(r io.Reader, f *foreign) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	for lines.Scan() {
		if err := f.line(strings.Fields(lines.Text())); err != nil {
			return fmt.Errorf("line %.60q: %w", lines.Text(), err)
		}
	}
	return lines.Err()
}

func (f *foreign) line(fields []string) error {
	if len(fields) < 2 {
		return fmt.Errorf("too short")
	}
	if fields[0] == "E" {
		if f.l.cfg.Steady {
			f.l.cfg.Note(ClientError, "librdkafka: "+strings.Join(fields[1:], " "))
		}
		return nil
	}
	first, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	partition := int32(first)
	switch kind := fields[0]; {
	case kind == "S":
		f.producer.Send(partition)
		f.sent = append(f.sent, partition)
	case kind == "G":
		f.consumer.Assigned(partition, -1)
	case kind == "P":
		return f.poll(partition, fields[2:])
	case len(fields) == 3:
		offset, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return err
		}
		place := fields[1] + " " + fields[2]
		switch kind {
		case "A":
			if first < 0 || first >= len(f.sent) {
				return fmt.Errorf("record %d was not sent", first)
			}
			f.producer.Acked(history.NewValue(f.producer.ID(), first), offset)
			f.l.Gaps.note(Lane{"librdkafka producer", f.sent[first]}, time.Now())
		case "B":
			// Unless it is acknowledged this stands for a commit of which nobody knows.
			f.begun[place] = f.consumer.Now()
			f.consumer.Committed(partition, offset, f.begun[place], false)
		case "C":
			f.consumer.Committed(partition, offset, f.begun[place], true)
			delete(f.begun, place)
		}
	default:
		return fmt.Errorf("no kind of event")
	}
	return nil
}

func (f *foreign) poll(partition int32, places []string) error {
	var reads []history.Read
	for _, p := range places {
		o, v, _ := strings.Cut(p, ":")
		offset, err := strconv.ParseInt(o, 10, 64)
		if err != nil {
			return err
		}
		value, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return err
		}
		reads = append(reads, history.Read{Offset: offset, Value: history.Value(value)})
	}
	f.consumer.Polled(partition, reads)
	f.l.Gaps.note(Lane{"librdkafka group", partition}, time.Now())
	return nil
}
