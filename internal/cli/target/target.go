// Package target is the cluster that a command talks to: where it is, how to get in, and what it means in words when that fails.
// Every command that speaks the wire protocol holds a Target; the goroutines are those of the client that Connect returns, and
// end when its caller closes it.
package target

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/term"
)

// DefaultBootstrap is where a node is when nobody says where.
const DefaultBootstrap = "127.0.0.1:9092"

const (
	dialTimeout  = 3 * time.Second
	adminTimeout = 30 * time.Second // for one administrative request with its retries

	// AnswerTimeout is for the first sign of life.
	AnswerTimeout = 5 * time.Second
)

// Target is the cluster that one command line means.
type Target struct {
	env     term.Env
	flags   map[string]*string // by the name of a setting
	context string             // the flag
	fixed   *Cluster           // of a command that has flags of its own for where the cluster is
}

// New makes the target of one command line.
func New(env term.Env) *Target {
	return &Target{env: env, flags: map[string]*string{}}
}

// Flags adds the flags that say which cluster to a command and to those below it. Help shows those about logins only where they
// are kept, in headrace context, because every command has them.
func (t *Target) Flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&t.context, "context", "", "cluster by name, see headrace context (also for --tls, --sasl and the like); environment "+contextEnv)
	_ = cmd.RegisterFlagCompletionFunc("context", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return t.CompleteContexts(cmd, nil, typed)
	})
	for i, s := range settings {
		value := t.flags[s.name]
		if value == nil {
			value = new(string)
			t.flags[s.name] = value
		}
		if s.isSwitch {
			f.Var((*onOffValue)(value), s.name, s.help())
			f.Lookup(s.name).NoOptDefVal = "true"
		} else {
			f.StringVarP(value, s.name, s.letter, "", s.help())
		}
		f.Lookup(s.name).Hidden = i > 0 && cmd.Name() != "context"
	}
}

// onOffValue is a switch that can be told from one that is not given.
type onOffValue string

func (v *onOffValue) String() string     { return string(*v) }
func (v *onOffValue) Set(s string) error { *v = onOffValue(s); return nil }

// Type makes the help show a switch.
func (v *onOffValue) Type() string { return "bool" }

// Use sets the cluster for a command whose flags for it are its own. Contexts and environment then say nothing.
func (t *Target) Use(c Cluster) { t.fixed = &c }

// Cluster is the cluster that flags, environment, context and defaults name.
func (t *Target) Cluster() (Cluster, error) {
	if t.fixed != nil {
		return *t.fixed, nil
	}
	values, _, err := t.Resolve()
	if err != nil {
		return Cluster{}, err
	}
	return clusterOf(values)
}

// Client makes a client that has not connected yet. The caller closes it.
func (t *Target) Client(opts ...kgo.Opt) (*kgo.Client, error) {
	cluster, err := t.Cluster()
	if err != nil {
		return nil, err
	}
	base, err := t.options(cluster)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(base, opts...)...)
	if err != nil {
		return nil, term.Usage("%s", err)
	}
	return client, nil
}

// Connect makes a client and asks for a sign of life, so that a wrong address is told at once and not after a minute of
// retries. The caller closes the client.
func (t *Target) Connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := t.Client(opts...)
	if err != nil {
		return nil, err
	}
	soon, cancel := context.WithTimeout(ctx, AnswerTimeout)
	defer cancel()
	if err := client.Ping(soon); err != nil {
		controller := isController(soon, client)
		client.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		cluster, bad := t.Cluster()
		if bad != nil {
			return nil, bad
		}
		if controller {
			return nil, Refused(err, "%s is a controller alone, which takes no clients: name a broker of its cluster with --bootstrap HOST:PORT or %s", cluster.Bootstrap, bootstrapEnv)
		}
		return nil, cluster.refusal(err)
	}
	if err := t.tryAdvertised(soon, client); err != nil {
		client.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return client, nil
}

// options are those of a client of the cluster.
func (t *Target) options(c Cluster) ([]kgo.Opt, error) {
	seeds, err := c.seeds()
	if err != nil {
		return nil, err
	}
	dial := t.env.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	secured, err := c.TLS.dialer(dial)
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.ClientID("headrace-cli"), kgo.Dialer(secured)}
	login, err := c.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if login != nil {
		opts = append(opts, kgo.SASL(login))
	}
	return opts, nil
}

// tryAdvertised finds out whether any of the addresses that the cluster advertises can be reached. A node that advertises an
// address which only it knows is the most common first mistake, and looks like a cluster that never answers.
func (t *Target) tryAdvertised(ctx context.Context, client *kgo.Client) error {
	var last error
	for _, b := range client.DiscoveredBrokers() {
		if _, last = b.Request(ctx, kmsg.NewPtrApiVersionsRequest()); last == nil {
			return nil
		}
	}
	return t.Diagnose(last)
}

// Admin runs f with a client for administrative requests.
func (t *Target) Admin(ctx context.Context, f func(context.Context, *kadm.Client) error) error {
	return t.Ask(ctx, func(ctx context.Context, client *kgo.Client) error { return f(ctx, kadm.NewClient(client)) })
}

// Ask runs f with a client, for a bounded time.
func (t *Target) Ask(ctx context.Context, f func(context.Context, *kgo.Client) error) error {
	client, err := t.Connect(ctx, kgo.RetryTimeout(AnswerTimeout))
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
	return t.Diagnose(err)
}

// Work runs f with a client for as long as it takes. Its requests are tried again for longer, because nodes come and go meanwhile.
func (t *Target) Work(ctx context.Context, f func(context.Context, *kgo.Client) error) error {
	client, err := t.Connect(ctx, kgo.RetryTimeout(adminTimeout))
	if err != nil {
		return err
	}
	defer client.Close()
	err = f(ctx, client)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return t.Diagnose(err)
}

// Diagnose turns an address that a node advertises and that cannot be reached into an UnreachableError.
func (t *Target) Diagnose(err error) error {
	var op *net.OpError
	if err == nil || !errors.As(err, &op) || op.Op != "dial" || op.Addr == nil {
		return err
	}
	given := false
	if c, err := t.Cluster(); err == nil {
		given = strings.Contains(","+c.Bootstrap+",", ","+op.Addr.String()+",")
	}
	return &UnreachableError{address: op.Addr.String(), seed: given, cause: err}
}
