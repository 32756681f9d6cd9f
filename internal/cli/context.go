package cli

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

func (c *command) context() *cobra.Command {
	cmd := term.Group("context", "Keep addresses and logins of clusters by name",
		c.contextList(), c.contextShow(), c.contextUse(), c.contextCreate(), c.contextEdit(), c.contextDelete())
	cmd.Long = "Keeps addresses and logins of clusters by name, in $XDG_CONFIG_HOME/headrace/contexts.yaml (~/.config where that is not set), for its\n" +
		"user alone. A setting comes from its flag, else its environment variable, else the context, else its default. The context is the one\n" +
		"that --context names, else HEADRACE_CONTEXT, else the one in use; an address by --bootstrap or HEADRACE_BOOTSTRAP sets the one in use\n" +
		"aside, so that its password goes nowhere else."
	c.at.Flags(cmd)
	return cmd
}

// contextJSON is one line of context list.
type contextJSON struct {
	Name      string `json:"name"`
	Current   bool   `json:"current"`
	Bootstrap string `json:"bootstrap"`
	User      string `json:"user"`
}

func (c *command) contextList() *cobra.Command {
	var form *term.Form
	cmd := &cobra.Command{
		Use: "list", Short: "List contexts; a star marks the one in use",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			contexts, err := c.at.LoadContexts()
			if err != nil {
				return err
			}
			list := []contextJSON{}
			for _, name := range contexts.Names() {
				values := contexts.Named[name]
				list = append(list, contextJSON{name, name == contexts.Current, values["bootstrap"], values["user"]})
			}
			return c.env.Print(*form, list, term.Table(list,
				term.Col("name", func(x contextJSON) any {
					if x.Current {
						return x.Name + " *"
					}
					return x.Name
				}),
				term.Col("bootstrap", func(x contextJSON) any { return x.Bootstrap }),
				term.Col("user", func(x contextJSON) any { return x.User })))
		},
	}
	form = term.OutputFlag(cmd)
	return cmd
}

func (c *command) contextShow() *cobra.Command {
	var form *term.Form
	cmd := &cobra.Command{
		Use: "show [NAME]", Short: "Show the settings that count, and where each comes from",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.at.CompleteContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if err := cmd.Flags().Set("context", args[0]); err != nil {
					return err
				}
			}
			values, context, err := c.at.Resolve()
			if err != nil {
				return err
			}
			for i := range values {
				values[i].Value = values[i].Shown()
			}
			shown := struct {
				Context  string         `json:"context"`
				Settings []target.Value `json:"settings"`
			}{context, values}
			return c.env.Print(*form, shown, func(w io.Writer) error {
				if context != "" {
					fmt.Fprintf(w, "context %s\n", context)
				}
				return term.Table(values,
					term.Col("setting", func(v target.Value) any { return v.Name }),
					term.Col("value", func(v target.Value) any { return v.Value }),
					term.Col("from", func(v target.Value) any { return v.Source }))(w)
			})
		},
	}
	form = term.OutputFlag(cmd)
	return cmd
}

func (c *command) contextUse() *cobra.Command {
	return c.contextChange("use NAME", "Make a context the one that counts when none is named", "used", func(_ *cobra.Command, contexts *target.Contexts, name string) error {
		_, err := contexts.Get(name)
		contexts.Current = name
		if at := c.env.Getenv("HEADRACE_BOOTSTRAP"); at != "" && err == nil {
			c.env.Warn("HEADRACE_BOOTSTRAP=%s is set, and counts more than the context in use", at)
		}
		return err
	})
}

func (c *command) contextCreate() *cobra.Command {
	use := false
	cmd := c.contextChange("create NAME", "Make a context of the flags given", "created", func(_ *cobra.Command, contexts *target.Contexts, name string) error {
		if _, there := contexts.Named[name]; there {
			return fmt.Errorf("context %s exists already: change it with headrace context edit %s", name, name)
		}
		values, err := c.settingsGiven()
		if err != nil {
			return err
		}
		if values["bootstrap"] == "" {
			return term.Usage("context create: --bootstrap is missing")
		}
		contexts.Named[name] = values
		if use || len(contexts.Named) == 1 {
			contexts.Current = name
		}
		return target.CheckContext(values)
	})
	cmd.ValidArgsFunction = nil
	cmd.Example = "  headrace context create prod -b kafka.example.com:9093 --tls --sasl SCRAM-SHA-512 --user alice --password - < secret"
	cmd.Flags().BoolVar(&use, "use", false, "make it the one in use; the first context always is")
	return cmd
}

func (c *command) contextEdit() *cobra.Command {
	var unset []string
	cmd := c.contextChange("edit NAME", "Change settings of a context to the flags given", "changed", func(_ *cobra.Command, contexts *target.Contexts, name string) error {
		values, err := contexts.Get(name)
		if err != nil {
			return err
		}
		given, err := c.settingsGiven()
		if err != nil {
			return err
		}
		if len(given) == 0 && len(unset) == 0 {
			return term.Usage("context edit: nothing to change: give settings as flags, or --unset NAME")
		}
		for _, key := range unset {
			if _, ok := values[key]; !ok {
				return term.Usage("--unset: context %s has no %q", name, key)
			}
			delete(values, key)
		}
		for key, value := range given {
			values[key] = value
		}
		return target.CheckContext(values)
	})
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "setting to take out, may be repeated")
	return cmd
}

func (c *command) contextDelete() *cobra.Command {
	return c.contextChange("delete NAME", "Delete a context", "deleted", func(_ *cobra.Command, contexts *target.Contexts, name string) error {
		_, err := contexts.Get(name)
		delete(contexts.Named, name)
		if contexts.Current == name {
			contexts.Current = ""
		}
		return err
	})
}

// contextChange makes a command that changes the file of contexts.
func (c *command) contextChange(use, short, done string, change func(*cobra.Command, *target.Contexts, string) error) *cobra.Command {
	var form *term.Form
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args:              term.One("NAME"),
		ValidArgsFunction: c.at.CompleteContexts,
		RunE: func(cmd *cobra.Command, args []string) error {
			contexts, err := c.at.LoadContexts()
			if err != nil {
				return err
			}
			if err := change(cmd, &contexts, args[0]); err != nil {
				return err
			}
			if err := c.at.SaveContexts(contexts); err != nil {
				return err
			}
			return c.told(*form, []outcome{{args[0], done}}, "context")
		},
	}
	form = term.OutputFlag(cmd)
	return cmd
}

// settingsGiven are the settings of the flags. The password "-" is a line of standard input.
func (c *command) settingsGiven() (map[string]string, error) {
	values := c.at.FromFlags()
	if values["password"] == "-" {
		line, err := bufio.NewReader(c.env.Stdin).ReadString('\n')
		values["password"] = strings.TrimRight(line, "\r\n")
		if values["password"] == "" {
			return nil, term.Usage("--password -: standard input has no line (%v)", err)
		}
	}
	return values, nil
}

// outcome is what a command has done to one thing.
type outcome struct {
	Name   string `json:"name"`
	Result string `json:"result"`
}

// told prints what was done to things of one kind.
func (c *command) told(form term.Form, done []outcome, noun string) error {
	return c.env.Print(form, done, func(w io.Writer) error {
		for _, o := range done {
			if _, err := fmt.Fprintf(w, "%s %s %s\n", o.Result, noun, o.Name); err != nil {
				return err
			}
		}
		return nil
	})
}
