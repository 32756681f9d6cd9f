//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Product is a system whose nodes can make a cluster.
type Product struct {
	Name string
	// MayHang: nodes that are told to stop together may not end, as they look for a controller.
	MayHang bool
	prepare func(*Cluster, *Node, []string) error // writes the config into the node's home, formats its data
	command func(*Node) *exec.Cmd
}

// clusterID is the same in all runs: nothing of one run meets another.
const clusterID = "Hc0faults0faults0faultA"

// common are the lines that both products know: three replicas of which two must have what is acknowledged, and small segments.
func common(c *Cluster, n *Node) []string {
	return []string{
		fmt.Sprintf("node.id=%d", n.ID),
		"log.dirs=" + n.Data,
		"default.replication.factor=3",
		"min.insync.replicas=2",
		"offsets.topic.replication.factor=3",
		"offsets.topic.num.partitions=4",
		"group.initial.rebalance.delay.ms=0",
		"auto.create.topics.enable=false",
	}
}

func (n *Node) config() string { return filepath.Join(n.Home, "server.properties") }

func (n *Node) write(lines ...[]string) error {
	var text strings.Builder
	for _, l := range lines {
		for _, line := range l {
			text.WriteString(line + "\n")
		}
	}
	return os.WriteFile(n.config(), []byte(text.String()), 0o644)
}

func voters(c *Cluster, port func(*Node) int) string {
	var list []string
	for _, n := range c.Nodes {
		list = append(list, fmt.Sprintf("%d@%s:%d", n.ID, n.Host, port(n)))
	}
	return "controller.quorum.voters=" + strings.Join(list, ",")
}

// Headrace is the binary of that name, as a cluster of voters that know each other, or of a first node that the others join.
func Headrace(binary string, join bool) Product {
	return Product{
		Name: "headrace",
		prepare: func(c *Cluster, n *Node, settings []string) error {
			lines := append(common(c, n), "listeners=PLAINTEXT://"+n.Address())
			switch {
			case !join:
				lines = append(lines, "cluster.id="+clusterID, voters(c, func(n *Node) int { return n.Port }))
			case n.ID > 1:
				lines = append(lines, "controller.quorum.bootstrap.servers="+c.Node(1).Address())
			}
			return n.write(lines, settings)
		},
		command: func(n *Node) *exec.Cmd { return exec.Command(binary, "server", "--config", n.config()) },
	}
}

// Kafka is Apache Kafka, broker and controller in one process, from a class path that holds it.
func Kafka(java, classPath string) Product {
	run := func(heap string, more ...string) *exec.Cmd {
		args := append(strings.Fields(heap+" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dinterop.log.level=INFO"), "-cp", classPath)
		return exec.Command(java, append(args, more...)...)
	}
	return Product{
		Name:    "kafka",
		MayHang: true,
		prepare: func(c *Cluster, n *Node, settings []string) error {
			if classPath == "" {
				return errors.New("Apache Kafka needs a class path: -class-path \"$(interop/jars.sh)\"")
			}
			listeners := fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://%s:%d", n.Address(), n.Host, n.Control)
			lines := append(common(c, n),
				"process.roles=broker,controller",
				"controller.listener.names=CONTROLLER",
				"listeners="+listeners, "advertised.listeners="+listeners,
				"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
				voters(c, func(n *Node) int { return n.Control }),
				"transaction.state.log.replication.factor=3",
				"transaction.state.log.min.isr=2",
				"transaction.state.log.num.partitions=4",
				"share.coordinator.state.topic.replication.factor=3",
			)
			if err := n.write(lines, settings); err != nil {
				return err
			}
			format := run("-Xmx256m", "kafka.tools.StorageTool", "format", "--cluster-id", clusterID, "--config", n.config())
			if out, err := format.CombinedOutput(); err != nil {
				return fmt.Errorf("format: %w: %s", err, out)
			}
			return nil
		},
		command: func(n *Node) *exec.Cmd { return run("-Xms256m -Xmx512m", "kafka.Kafka", n.config()) },
	}
}
