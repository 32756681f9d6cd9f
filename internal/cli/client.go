package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	defaultBootstrap = "127.0.0.1:9092"
	bootstrapEnv     = "HEADRACE_BOOTSTRAP"

	dialTimeout   = 3 * time.Second
	answerTimeout = 5 * time.Second  // for the first sign of life
	adminTimeout  = 30 * time.Second // for one administrative request with its retries
)

// bootstrapFlag adds the flag that says where the cluster is.
func (c *command) bootstrapFlag(cmd *cobra.Command) {
	at := c.env.Getenv(bootstrapEnv)
	if at == "" {
		at = defaultBootstrap
	}
	cmd.PersistentFlags().StringVarP(&c.bootstrap, "bootstrap", "b", at, "addresses of nodes to ask first, host:port separated by commas; environment "+bootstrapEnv)
}

// connect makes a client and asks for a sign of life, so that a wrong address is told at once and not after a minute of
// retries.
func (c *command) connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	seeds, err := c.seeds()
	if err != nil {
		return nil, err
	}
	dial := c.env.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	base := []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.ClientID("headrace-cli"), kgo.Dialer(dial)}
	client, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		return nil, usage("%s", err)
	}
	soon, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := client.Ping(soon); err != nil {
		client.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &unreachableError{address: strings.Join(seeds, ","), seed: true, cause: err}
	}
	if err := c.tryAdvertised(soon, client); err != nil {
		client.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return client, nil
}

// tryAdvertised finds out whether any of the addresses that the cluster advertises can be reached. A node that advertises an
// address which only it knows is the most common first mistake, and looks like a cluster that never answers.
func (c *command) tryAdvertised(ctx context.Context, client *kgo.Client) error {
	var last error
	for _, b := range client.DiscoveredBrokers() {
		if _, last = b.Request(ctx, kmsg.NewPtrApiVersionsRequest()); last == nil {
			return nil
		}
	}
	return c.diagnose(last)
}

// admin runs f with a client for administrative requests.
func (c *command) admin(ctx context.Context, f func(context.Context, *kadm.Client) error) error {
	return c.ask(ctx, func(ctx context.Context, client *kgo.Client) error { return f(ctx, kadm.NewClient(client)) })
}

// ask runs f with a client, for a bounded time.
func (c *command) ask(ctx context.Context, f func(context.Context, *kgo.Client) error) error {
	client, err := c.connect(ctx, kgo.RetryTimeout(answerTimeout))
	if err != nil {
		return err
	}
	defer client.Close()
	bounded, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	err = f(bounded, client)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return c.diagnose(err)
}

func (c *command) seeds() ([]string, error) {
	var seeds []string
	for _, s := range strings.Split(c.bootstrap, ",") {
		s = strings.TrimSpace(s)
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = strings.Trim(s, "[]"), "9092"
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if host == "" || err != nil || n == 0 || strings.ContainsAny(host, "/ ") {
			return nil, usage("--bootstrap: %q is not host:port", s)
		}
		seeds = append(seeds, net.JoinHostPort(host, port))
	}
	return seeds, nil
}

// unreachableError is an address where no node answers.
type unreachableError struct {
	address string
	seed    bool // the address was given; otherwise a node told it
	cause   error
}

func (e *unreachableError) Unwrap() error { return e.cause }

func (e *unreachableError) Error() string {
	if !e.seed {
		return fmt.Sprintf("the cluster says that a node is at %s, and that cannot be reached: %s; set advertised.listeners of the node to an address that works from here", e.address, reason(e.cause))
	}
	return fmt.Sprintf("cannot reach a node at %s: %s; start one with \"headrace dev\", or name another with --bootstrap HOST:PORT or %s", e.address, reason(e.cause), bootstrapEnv)
}

// reason is the root of a connection's failure in few words.
func reason(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return "the name " + dns.Name + " is not known"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within a few seconds"
	case errors.As(err, &op) && op.Op == "dial":
		if op.Timeout() {
			return "no answer within a few seconds"
		}
		var errno syscall.Errno
		if errors.As(op.Err, &errno) {
			return errno.Error()
		}
		return op.Err.Error()
	case errors.As(err, new(*kerr.Error)):
		return explain(err, "").Error()
	}
	return "what listens there does not speak the Kafka protocol, or wants TLS or a login"
}

// diagnose turns an address that a node advertises and that cannot be reached into an unreachableError.
func (c *command) diagnose(err error) error {
	var op *net.OpError
	if err == nil || !errors.As(err, &op) || op.Op != "dial" || op.Addr == nil {
		return err
	}
	seeds, _ := c.seeds()
	return &unreachableError{address: op.Addr.String(), seed: slices.Contains(seeds, op.Addr.String()), cause: err}
}

// explain is a protocol error in words: the server's own where it gave some.
func explain(err error, message string) error {
	var k *kerr.Error
	switch {
	case err == nil:
		return nil
	case message != "":
		return &protocolError{message, err}
	case errors.As(err, &k):
		return &protocolError{fmt.Sprintf("%s (%s)", strings.TrimSuffix(k.Description, "."), k.Message), err}
	}
	return err
}

// protocolError is a refusal by the cluster in words.
type protocolError struct {
	text  string
	cause error
}

func (e *protocolError) Error() string { return e.text }
func (e *protocolError) Unwrap() error { return e.cause }
