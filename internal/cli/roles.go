package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// DevOptions are the flags of headrace dev.
type DevOptions struct {
	DataDir    string
	Listen     string // host:port
	Durability conf.Durability
	Partitions int32 // of topics created without a number
	Output     term.Form
}

// ServerOptions are the flags of headrace server.
type ServerOptions struct {
	Config string   // path of the file, or empty
	Roles  []string // broker, controller; none leaves it to the configuration
	Join   []string // host:port of nodes of the cluster to join; none begins one, or does what the configuration says
}

// AdoptOptions are the arguments of headrace adopt.
type AdoptOptions struct {
	Dirs []string // the log dirs of one broker
}

func (c *command) dev() *cobra.Command {
	o := DevOptions{}
	var form *term.Form
	durability := "flush"
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Start one node with sensible defaults, for development",
		Long:  "Starts one node that keeps its data in a directory, and prints its address and a line to paste for common clients.\nIt ends on Ctrl-C.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Durability, err = parseDurability(durability); err != nil {
				return err
			}
			if err := checkListen(o.Listen); err != nil {
				return err
			}
			if o.Partitions < 1 {
				return term.Usage("--partitions must be at least 1")
			}
			o.Output = *form
			return start(cmd.Context(), c.roles.Dev, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.DataDir, "data-dir", "./headrace-data", "directory that holds the data")
	f.StringVar(&o.Listen, "listen", target.DefaultBootstrap, "address to listen on; a host of 0.0.0.0 opens it to the network")
	f.StringVar(&durability, "durability", durability, "flush: acknowledge what is on disk; os: acknowledge from the operating system's cache, as Apache Kafka does")
	f.Int32Var(&o.Partitions, "partitions", 1, "partitions of topics that are created without a number")
	form = term.OutputFlag(cmd)
	f.Lookup("output").Usage = "how to tell that the node is ready: table (words), json or yaml"
	return cmd
}

func parseDurability(text string) (conf.Durability, error) {
	if err := conf.Check(conf.ScopeBroker, "durability", text); err != nil {
		return 0, term.Usage("--durability must be flush or os, not %q", text)
	}
	if text == conf.DurabilityOS.String() {
		return conf.DurabilityOS, nil
	}
	return conf.DurabilityFlush, nil
}

func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return term.Usage("--listen: %q is not host:port", address)
	}
	return nil
}

func (c *command) server() *cobra.Command {
	o := ServerOptions{}
	cmd := &cobra.Command{
		Use:   "server [--config FILE] [--join HOST:PORT,...] [--roles ROLE,...]",
		Short: "Start a node from a configuration file, the environment, or both",
		Long: "Starts a node from a configuration file, YAML (.yaml, .yml) or a Kafka server.properties (.properties), and from environment variables\n" +
			"as Apache Kafka's container image takes them (KAFKA_LOG_DIRS for log.dirs); these win over the file.\n" +
			"SIGTERM and Ctrl-C drain it and mark a clean stop; SIGHUP reads the configuration again, for the keys that can change while it runs.\n\n" +
			"The first node of a cluster is started alone. Each other one is started with --join and the address of one that is there, or of several,\n" +
			"and with a node.id and log dirs of its own. A node that has data knows its cluster; --join then helps it to find the others.\n\n" +
			"A node is a broker, which has partitions, and a controller, which may vote on the metadata; --roles makes it one of the two alone.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, at := range o.Join {
				if _, port, err := net.SplitHostPort(at); err != nil || port == "" {
					return term.Usage("--join: %q is not host:port", at)
				}
			}
			for _, r := range o.Roles {
				if r != "broker" && r != "controller" {
					return term.Usage("--roles: %q is neither broker nor controller", r)
				}
			}
			return start(cmd.Context(), c.roles.Server, o)
		},
	}
	cmd.Flags().StringVar(&o.Config, "config", "", "the file; environment HEADRACE_CONFIG")
	cmd.Flags().StringSliceVar(&o.Join, "join", nil, "addresses of nodes whose cluster to join, separated by commas (controller.quorum.bootstrap.servers)")
	cmd.Flags().StringSliceVar(&o.Roles, "roles", nil, "broker, controller, or both, which is the default (process.roles)")
	return cmd
}

func (c *command) adopt() *cobra.Command {
	return &cobra.Command{
		Use:   "adopt DIR...",
		Short: "Take over the data directory of a stopped Apache Kafka broker",
		Long: "Registers the topics whose partition folders Apache Kafka left in DIR, with their configs, so that a node started on DIR serves them.\n" +
			"A broker with several log dirs is named with all of them. What is not carried over is printed. Stop the broker first, and keep a copy.",
		Args: term.AtLeastOne("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return start(cmd.Context(), c.roles.Adopt, AdoptOptions{Dirs: args})
		},
	}
}

// start runs a role. A stop by signal is how roles end, so it is no error.
func start[O any](ctx context.Context, role func(context.Context, O) error, o O) error {
	if role == nil {
		return errors.New("this build has no such role")
	}
	err := role(ctx, o)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (c *command) version() *cobra.Command {
	var form *term.Form
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := thisVersion()
			return c.env.Print(*form, v, term.Lines("%s\n", v))
		},
	}
	form = term.OutputFlag(cmd)
	return cmd
}

// version is what the module was built as, and the commit where it is known.
type version struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// release is the version that deploy/build stamps through the linker; empty in other builds.
var release string

func thisVersion() version {
	v := version{Version: "unknown", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				v.Commit = s.Value[:12]
			}
		}
	}
	if release != "" {
		v.Version = release
	}
	return v
}

func (v version) String() string {
	commit := ""
	if v.Commit != "" {
		commit = " commit " + v.Commit
	}
	return fmt.Sprintf("headrace %s%s %s %s/%s", v.Version, commit, v.Go, v.OS, v.Arch)
}
