package kafkatools

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
)

const (
	dialTimeout = 10 * time.Second
	// Between attempts to reach a node, as Kafka's clients wait at most.
	reconnectPause = time.Second
)

// cluster is a connection to one, and what its nodes can do.
type cluster struct {
	*kgo.Client
	knows   map[int16]bool // requests by key
	timeout time.Duration
}

// connect makes a client and waits until a node answers, as Kafka's tools do: scripts wait for a node that way. call is the
// request that would have been first.
func (c *call) connect(p props, bootstrap, clientID, call string, opts ...kgo.Opt) (*cluster, error) {
	seeds, err := seedsOf(bootstrap)
	if err != nil {
		return nil, err
	}
	secure, config, err := p.security()
	if err != nil {
		return nil, err
	}
	k := &cluster{knows: map[int16]bool{}}
	set := &settings{p: p}
	set.add(kgo.SeedBrokers(seeds...), kgo.ClientID(p.or("client.id", clientID)), kgo.RetryTimeout(30*time.Second))
	set.add(kgo.Dialer(target.Encrypted(c.dialer(set), config)))
	set.common()
	k.timeout = time.Duration(set.number("default.api.timeout.ms", "60000")) * time.Millisecond
	if set.err != nil {
		return nil, set.err
	}
	c.tellUnasked(p)
	if k.Client, err = kgo.NewClient(slices.Concat(set.opts, secure, opts)...); err != nil {
		return nil, configError("%s", err)
	}
	if err := c.await(k, seeds, call); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// dialer connects with the buffers that the properties want.
func (c *call) dialer(s *settings) func(context.Context, string, string) (net.Conn, error) {
	dial := c.env.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	out, in := s.buffer("send.buffer.bytes"), s.buffer("receive.buffer.bytes")
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
			if out > 0 {
				err = tcp.SetWriteBuffer(out)
			}
			if in > 0 {
				err = errors.Join(err, tcp.SetReadBuffer(in))
			}
			if err != nil {
				conn.Close()
			}
		}
		return conn, err
	}
}

// await asks a node what it can do until one answers.
func (c *call) await(k *cluster, seeds []string, call string) error {
	ctx, cancel := context.WithTimeout(c.ctx, k.timeout)
	defer cancel()
	for {
		attempt, stop := context.WithTimeout(ctx, dialTimeout)
		resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(attempt, k.Client)
		stop()
		if err == nil {
			for _, key := range resp.ApiKeys {
				k.knows[key.ApiKey] = true
			}
			return nil
		}
		var op *net.OpError
		var dns *net.DNSError
		switch {
		case c.ctx.Err() != nil:
			return c.ctx.Err()
		case errors.As(err, &dns):
			return &failure{class: "org.apache.kafka.common.KafkaException", text: "Failed to create new KafkaAdminClient", cause: err}
		case !errors.As(err, &op) && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) && !kgo.IsRetryableBrokerErr(err):
			return err
		}
		c.log("WARN", "org.apache.kafka.clients.NetworkClient", "Connection to node -1 (%s) could not be established. Node may not be available.", strings.Join(seeds, ","))
		select {
		case <-ctx.Done():
			return timedOut("Timed out waiting for a node assignment. Call: %s", call)
		case <-time.After(reconnectPause):
		}
	}
}

// ask makes one request of a bounded time.
func (k *cluster) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, k.timeout)
}

// can tells whether the cluster knows a request, and the error when not.
func (k *cluster) can(req kmsg.Request) error {
	if k.knows[req.Key()] {
		return nil
	}
	return javaError(apiErrors+"UnsupportedVersionException", "The node does not support %s", constant(kmsg.NameForKey(req.Key())))
}

// constant turns DescribeClientQuotas into DESCRIBE_CLIENT_QUOTAS.
func constant(name string) string {
	upper := func(i int) bool { return i < len(name) && name[i] >= 'A' && name[i] <= 'Z' }
	var b strings.Builder
	for i := range len(name) {
		// A word begins after a small letter, or where a row of capitals ends.
		if i > 0 && upper(i) && (!upper(i-1) || i+1 < len(name) && !upper(i+1)) {
			b.WriteByte('_')
		}
		b.WriteByte(name[i])
	}
	return strings.ToUpper(b.String())
}

func seedsOf(bootstrap string) ([]string, error) {
	var seeds []string
	for s := range strings.SplitSeq(bootstrap, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		host, port, err := net.SplitHostPort(s)
		if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" {
			return nil, configError("Invalid url in bootstrap.servers: %s", s)
		}
		seeds = append(seeds, s)
	}
	if len(seeds) == 0 {
		return nil, configError("No bootstrap urls given in bootstrap.servers")
	}
	return seeds, nil
}

// validBootstrap is the check that some tools make before they connect.
func validBootstrap(bootstrap string) error {
	if strings.TrimSpace(bootstrap) == "" {
		return usage("Error while validating the bootstrap address\n")
	}
	for s := range strings.SplitSeq(bootstrap, ",") {
		if i := strings.LastIndexByte(s, ':'); i < 0 || !allDigits(s[i+1:]) {
			return usage("Please provide valid host:port like host1:9091,host2:9092\n")
		}
	}
	return nil
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// log writes to standard error as the logger of Kafka's tools does.
func (c *call) log(level, logger, format string, args ...any) {
	fmt.Fprintf(c.env.Stderr, "[%s] %s %s (%s)\n", time.Now().Format("2006-01-02 15:04:05,000"), level, fmt.Sprintf(format, args...), logger)
}
