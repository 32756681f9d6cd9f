package side

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// performance are the flags that Apache Kafka's scripts give every JVM, of the broker and of its tools.
const performance = "-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 " +
	"-XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true -Dcom.sun.management.jmxremote=true " +
	"-Dcom.sun.management.jmxremote.authenticate=false -Dcom.sun.management.jmxremote.ssl=false"

// BrokerHeap is the heap that Apache Kafka's script gives a broker.
const BrokerHeap = "-Xmx1G -Xms1G"

// Java is a JVM with a class path that holds Apache Kafka.
type Java struct {
	Binary    string
	ClassPath string
}

// Command runs a class with the given heap flags and the flags of Apache Kafka's scripts.
func (j Java) Command(heap string, more []string, class string, args ...string) *exec.Cmd {
	flags := append(strings.Fields(heap+" "+performance), more...)
	flags = append(flags, "-cp", j.ClassPath, class)
	return exec.Command(j.Binary, append(flags, args...)...)
}

// NewKafka is Apache Kafka, broker and controller in one process, with the settings it comes with.
func NewKafka(j Java) System {
	return System{
		Name:    Kafka,
		prepare: func(dir string, p place) error { return prepareKafka(j, dir, p) },
		command: func(dir string) *exec.Cmd {
			more := []string{
				"-Xlog:gc*:file=" + filepath.Join(dir, "kafkaServer-gc.log") + ":time,tags:filecount=10,filesize=100M",
				"-Dinterop.log.level=INFO",
			}
			return j.Command(BrokerHeap, more, "kafka.Kafka", filepath.Join(dir, "server.properties"))
		},
	}
}

func prepareKafka(j Java, dir string, p place) error {
	file := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(file, []byte(kafkaConfig(dir, p)), 0o600); err != nil {
		return err
	}
	args := []string{"format", "--cluster-id", p.cluster, "--config", file}
	if p.alone() {
		args = append(args, "--standalone")
	}
	cmd := j.Command("-Xmx256M", nil, "kafka.tools.StorageTool", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format: %w: %s", err, out)
	}
	return nil
}

// kafkaConfig is what a broker needs to run alone or, where it is one of several, to be broker and controller of a cluster. The
// numbers are those of the server.properties that Apache Kafka ships, but for the replicas of internal topics, which a cluster has
// as many of as it has nodes; what the file leaves to the broker's defaults, flushing above all, is left here too.
func kafkaConfig(dir string, p place) string {
	port, replicas := p.port(), strconv.Itoa(len(p.ports))
	inSync := strconv.Itoa(len(p.ports)/2 + 1)
	quorum := "controller.quorum.voters=" + p.voters(1)
	if p.alone() {
		quorum = "controller.quorum.bootstrap.servers=" + address(port+1)
	}
	lines := []string{
		"process.roles=broker,controller",
		"node.id=" + strconv.Itoa(p.id),
		quorum,
		"controller.listener.names=CONTROLLER",
		"listeners=PLAINTEXT://" + address(port) + ",CONTROLLER://" + address(port+1),
		"advertised.listeners=PLAINTEXT://" + address(port) + ",CONTROLLER://" + address(port+1),
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"num.network.threads=3",
		"num.io.threads=8",
		"socket.send.buffer.bytes=102400",
		"socket.receive.buffer.bytes=102400",
		"socket.request.max.bytes=104857600",
		"log.dirs=" + DataDir(dir),
		"num.partitions=1",
		"num.recovery.threads.per.data.dir=1",
		"offsets.topic.replication.factor=" + replicas,
		"share.coordinator.state.topic.replication.factor=" + replicas,
		"share.coordinator.state.topic.min.isr=" + inSync,
		"transaction.state.log.replication.factor=" + replicas,
		"transaction.state.log.min.isr=" + inSync,
		"log.retention.hours=168",
		"log.segment.bytes=1073741824",
		"log.retention.check.interval.ms=300000",
	}
	return strings.Join(lines, "\n") + "\n"
}

// clusterID is a random id; the tool takes one that starts with a dash for an option.
func clusterID() (string, error) {
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return "H" + base64.RawURLEncoding.EncodeToString(raw)[1:], nil
}

// javaMajor reads the number before the first point from what java -version prints.
func javaMajor(text string) (int, error) {
	_, rest, ok := strings.Cut(text, `version "`)
	if !ok {
		return 0, fmt.Errorf("no version in %q", text)
	}
	digits := strings.FieldsFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if len(digits) == 0 {
		return 0, fmt.Errorf("no version in %q", text)
	}
	return strconv.Atoi(digits[0])
}

// NewestJava finds the newest JVM: that of JAVA_HOME, the one on the path, and those where distributions put them.
func NewestJava() (binary, version string, err error) {
	candidates, _ := filepath.Glob("/usr/lib/jvm/*/bin/java") // the pattern is good
	if home := os.Getenv("JAVA_HOME"); home != "" {
		candidates = append(candidates, filepath.Join(home, "bin", "java"))
	}
	if path, err := exec.LookPath("java"); err == nil {
		candidates = append(candidates, path)
	}
	newest := 0
	for _, c := range candidates {
		out, err := exec.Command(c, "-version").CombinedOutput()
		if err != nil {
			continue
		}
		major, err := javaMajor(string(out))
		if err == nil && major > newest {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			newest, binary, version = major, c, lines[min(1, len(lines)-1)]
		}
	}
	if newest < 17 {
		return "", "", errors.New("found no JDK 17 or newer, which Apache Kafka needs; set JAVA_HOME")
	}
	return binary, version, nil
}
