package kafkatools

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	dialTimeout = 10 * time.Second
	apiTimeout  = time.Minute // default.api.timeout.ms
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
	base := []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.ClientID(p.or("client.id", clientID)), kgo.Dialer(c.dialer(config)),
		kgo.RetryTimeout(30 * time.Second)}
	client, err := kgo.NewClient(slices.Concat(base, secure, opts)...)
	if err != nil {
		return nil, configError("%s", err)
	}
	k := &cluster{Client: client, knows: map[int16]bool{}, timeout: apiTimeout}
	if ms, err := strconv.ParseInt(p["default.api.timeout.ms"], 10, 32); err == nil {
		k.timeout = time.Duration(ms) * time.Millisecond
	}
	if err := c.await(k, seeds, call); err != nil {
		client.Close()
		return nil, err
	}
	return k, nil
}

func (c *call) dialer(config *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	dial := c.env.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if config == nil {
		return dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		own := config.Clone()
		own.ServerName, _, _ = net.SplitHostPort(address)
		secure := tls.Client(conn, own)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return secure, nil
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
