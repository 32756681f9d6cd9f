// Package doctor is headrace doctor: commands that find out, from where they run, why a cluster cannot be worked with. The root
// of cli holds them. It starts no goroutine but those of clients, which end before a command does.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// step is one thing that was tried.
type step struct {
	Name string `json:"step"`
	OK   bool   `json:"ok"`
	Text string `json:"result"`
}

// report is what was found out.
type report struct {
	Steps   []step   `json:"steps"`
	Healthy bool     `json:"healthy"`
	Advice  []string `json:"advice"`
}

// Listeners is headrace doctor listeners.
func Listeners(t *target.Target, e term.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "listeners",
		Short: "Find out whether clients on this machine get to the addresses that the nodes advertise",
		Long: "Does step by step what every Kafka client does: connects to the address it was given, asks which nodes there are, and connects to each\n" +
			"at the address that the cluster tells. Explains what goes wrong, and names the line to set. The exit code is 0 when all is well,\n" +
			"3 when no node answers, else 1.",
		Example: "  headrace doctor listeners -b broker.example:9092",
		Args:    cobra.NoArgs,
	}
	t.Flags(cmd)
	form := term.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		x := examination{t: t, report: report{Healthy: true, Advice: []string{}}}
		err := x.run(cmd.Context())
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		if len(x.report.Steps) > 0 {
			if perr := e.Print(*form, x.report, x.report.write); perr != nil {
				return perr
			}
		}
		if err == nil && !x.report.Healthy {
			return errors.New("clients on this machine cannot work with every node")
		}
		return err
	}
	return cmd
}

func (r report) write(w io.Writer) error {
	var b strings.Builder
	for i, s := range r.Steps {
		mark := "ok  "
		if !s.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(&b, "%d  %s  %s: %s\n", i+1, mark, s.Name, s.Text)
	}
	for _, a := range r.Advice {
		fmt.Fprintf(&b, "\n%s\n", a)
	}
	if r.Healthy {
		fmt.Fprintln(&b, "\nAll is well: clients on this machine get to every node.")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// examination is one run of the doctor.
type examination struct {
	t      *target.Target
	report report
}

func (x *examination) did(name string, ok bool, format string, args ...any) {
	x.report.Steps = append(x.report.Steps, step{name, ok, fmt.Sprintf(format, args...)})
}

func (x *examination) advise(format string, args ...any) {
	x.report.Healthy = false
	x.report.Advice = append(x.report.Advice, fmt.Sprintf(format, args...))
}

func (x *examination) run(ctx context.Context) error {
	cluster, err := x.t.Cluster()
	if err != nil {
		return err
	}
	var told *kmsg.MetadataResponse
	var last error
	seed := ""
	for _, s := range strings.Split(cluster.Bootstrap, ",") {
		s = strings.TrimSpace(s)
		m, err := x.ask(ctx, s)
		if err != nil {
			x.report.Healthy = false
			x.did("connect to "+s, false, "%s%s", target.Reason(err), resolved(ctx, s))
			last = err
			continue
		}
		x.did("connect to "+s, true, "a node answers")
		if told == nil {
			told, seed = m, s
		}
	}
	if told == nil {
		return &unanswered{cluster.Bootstrap, last}
	}
	x.nodes(ctx, seed, told)
	return nil
}

// unanswered is a cluster of which no node was found.
type unanswered struct {
	address string
	cause   error
}

func (e *unanswered) Error() string {
	return fmt.Sprintf("no node answers at %s: %s; check that one runs there, and that its listeners are open to this machine (listeners=PLAINTEXT://0.0.0.0:9092 opens them to the network)",
		e.address, target.Reason(e.cause))
}

func (e *unanswered) Unwrap() error { return e.cause }

// ExitCode is that of all addresses where no node answers.
func (e *unanswered) ExitCode() int { return term.ExitUnreachable }

// nodes tries every node at the address that the cluster tells.
func (x *examination) nodes(ctx context.Context, seed string, told *kmsg.MetadataResponse) {
	x.did("ask which nodes there are", len(told.Brokers) > 0, "%d %s in cluster %s", len(told.Brokers), term.Plural(len(told.Brokers), "node"), id(told))
	for _, b := range told.Brokers {
		at := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		name := fmt.Sprintf("connect to node %d at %s, as the cluster tells", b.NodeID, at)
		m, err := x.ask(ctx, at)
		switch {
		case err != nil:
			x.did(name, false, "%s%s", target.Reason(err), resolved(ctx, at))
			x.explain(seed, b, len(told.Brokers) == 1)
		case id(m) != id(told):
			x.did(name, false, "a node of another cluster answers (%s)", id(m))
			x.explain(seed, b, len(told.Brokers) == 1)
		default:
			x.did(name, true, "it answers")
		}
	}
	if len(told.Brokers) == 0 {
		x.advise("The cluster names no node that this listener leads to: give each node an address for it in advertised.listeners, and look at its log.")
	}
}

// explain says what is wrong with an advertised address, and what to set instead.
func (x *examination) explain(seed string, b kmsg.MetadataResponseBroker, alone bool) {
	at := net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	why := "cannot be reached from this machine"
	if seedHost, _, err := net.SplitHostPort(seed); err == nil && loopback(b.Host) && !loopback(seedHost) {
		why = "means this machine here, not the one of the node"
	}
	line := fmt.Sprintf("advertised.listeners=PLAINTEXT://HOST:%d, HOST being a name or address of that node that works from here", b.Port)
	if alone {
		line = "advertised.listeners=PLAINTEXT://" + seed
	}
	x.advise("Node %d tells its clients to connect to %s, which %s.\nSet in its configuration, and restart it (the listener's name is PLAINTEXT unless you named it otherwise):\n  %s",
		b.NodeID, at, why, line)
}

// ask asks the node at one address which nodes there are.
func (x *examination) ask(ctx context.Context, at string) (*kmsg.MetadataResponse, error) {
	client, err := x.t.Client(kgo.SeedBrokers(at), kgo.RequestRetries(0))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, target.AnswerTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{} // none; nil would be all
	return req.RequestWith(ctx, client.SeedBrokers()[0])
}

func id(m *kmsg.MetadataResponse) string {
	if m.ClusterID == nil {
		return "(unknown)"
	}
	return *m.ClusterID
}

// resolved tells the addresses of a name, for who wonders where a connection went.
func resolved(ctx context.Context, at string) string {
	host, _, err := net.SplitHostPort(at)
	if err != nil || net.ParseIP(host) != nil {
		return ""
	}
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil || len(ips) == 0 {
		return ""
	}
	slices.Sort(ips)
	return fmt.Sprintf(" (%s is %s here)", host, strings.Join(slices.Compact(ips), ", "))
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
