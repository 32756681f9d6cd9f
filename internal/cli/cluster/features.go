package cluster

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// features is the levels of a cluster as cluster features tells them.
type features struct {
	Features []feature `json:"features"`
	Silent   []int32   `json:"silent"` // nodes that did not answer: what they support is not known
}

// feature is one of them. All nodes that answered can run at the levels from Min to Max.
type feature struct {
	Name  string `json:"name"`
	Level int16  `json:"level"` // in force; 0: the cluster does without
	Min   int16  `json:"min"`
	Max   int16  `json:"max"`
	nodes int    // that know it
}

func (c *commands) features() *cobra.Command {
	return c.ask(&cobra.Command{
		Use: "features", Short: "List the features of a cluster with their levels",
		Long: "Lists the features whose level is one for the whole cluster, and up to which level all nodes can go: those of a newer version raise it when\n" +
			"the last node runs that version, and headrace cluster set-feature was told to. From then on no node can go back to the older one.",
	}, func(ctx context.Context, client *kgo.Client, form term.Form) error {
		f, err := describeFeatures(ctx, client)
		if err != nil {
			return err
		}
		return c.env.Print(form, f, func(w io.Writer) error {
			err := term.Table(f.Features,
				term.Col("feature", func(f feature) any { return f.Name }),
				term.Col("level", func(f feature) any { return f.Level }),
				term.Col("min", func(f feature) any { return f.Min }),
				term.Col("max", func(f feature) any { return f.Max }))(w)
			if len(f.Silent) > 0 {
				fmt.Fprintf(w, "what nodes %v support is not known: they do not answer\n", f.Silent)
			}
			return err
		})
	})
}

// describeFeatures asks all nodes. What one of them does not know, or not up to a level, the cluster cannot run at.
func describeFeatures(ctx context.Context, client *kgo.Client) (features, error) {
	answer := features{Features: []feature{}, Silent: []int32{}}
	nodes, err := kadm.NewClient(client).ListBrokers(ctx)
	if err != nil {
		return answer, err
	}
	known, asked, epoch := map[string]*feature{}, 0, int64(-1)
	levels := map[string]int16{}
	for _, id := range nodes.NodeIDs() {
		resp, err := apiVersions(ctx, client, id)
		if err != nil {
			if ctx.Err() != nil {
				return answer, ctx.Err()
			}
			answer.Silent = append(answer.Silent, id)
			continue
		}
		asked++
		for _, s := range resp.SupportedFeatures {
			f := known[s.Name]
			if f == nil {
				f = &feature{Name: s.Name, Min: s.MinVersion, Max: s.MaxVersion}
				known[s.Name] = f
			}
			f.nodes++
			f.Min, f.Max = max(f.Min, s.MinVersion), min(f.Max, s.MaxVersion)
		}
		if resp.FinalizedFeaturesEpoch < epoch || len(resp.FinalizedFeatures) == 0 {
			continue // it knows older ones
		}
		epoch = resp.FinalizedFeaturesEpoch
		clear(levels)
		for _, l := range resp.FinalizedFeatures {
			levels[l.Name] = l.MaxVersionLevel
		}
	}
	for _, f := range known {
		if f.Level = levels[f.Name]; f.nodes < asked {
			f.Min, f.Max = 0, 0
		}
		answer.Features = append(answer.Features, *f)
	}
	slices.SortFunc(answer.Features, func(a, b feature) int { return cmp.Compare(a.Name, b.Name) })
	return answer, nil
}

// leveled is the answer of cluster set-feature.
type leveled struct {
	Feature string `json:"feature"`
	From    int16  `json:"from"`
	Level   int16  `json:"level"`
	Done    bool   `json:"done"` // false: it was so already, or is only looked at
}

func (c *commands) setFeature() *cobra.Command {
	var dry, downgrade bool
	cmd := &cobra.Command{
		Use: "set-feature FEATURE LEVEL", Short: "Raise or lower the level of a feature in the whole cluster",
		Long: "Changes the level at which all nodes run a feature (headrace cluster features lists them). A node whose version does not know the new level\n" +
			"cannot join any more, so a level is raised when the last node of an upgrade runs well. To lower one takes --downgrade, and the cluster refuses\n" +
			"where it would lose what it knows.",
		Example: "  headrace cluster set-feature eligible.leader.replicas.version 1\n  headrace cluster set-feature eligible.leader.replicas.version 0 --downgrade --dry-run",
		Args:    term.Both("FEATURE", "LEVEL"),
	}
	form := term.OutputFlag(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "ask whether the cluster would do it, and change nothing")
	cmd.Flags().BoolVar(&downgrade, "downgrade", false, "lower the level")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		level, err := strconv.ParseInt(args[1], 10, 16)
		if err != nil || level < 0 {
			return term.Usage("%q is no level of a feature, such as 1 (headrace cluster features lists them)", args[1])
		}
		return c.at.Ask(cmd.Context(), func(ctx context.Context, client *kgo.Client) error {
			answer, err := setFeature(ctx, client, args[0], int16(level), downgrade, dry)
			if err != nil {
				return err
			}
			words := "%s goes from level %d to %d\n"
			switch {
			case answer.From == answer.Level:
				return c.env.Print(*form, answer, term.Lines("%s is at level %d already\n", answer.Feature, answer.Level))
			case dry:
				words = "%s would go from level %d to %d\n"
			}
			return c.env.Print(*form, answer, term.Lines(words, answer.Feature, answer.From, answer.Level))
		})
	}
	return cmd
}

// The upgrade types of UpdateFeatures.
const (
	upgradeOnly   = 1
	safeDowngrade = 2
)

func setFeature(ctx context.Context, client *kgo.Client, name string, level int16, downgrade, dry bool) (leveled, error) {
	now, err := describeFeatures(ctx, client)
	if err != nil {
		return leveled{}, err
	}
	i := slices.IndexFunc(now.Features, func(f feature) bool { return f.Name == name })
	if i < 0 {
		return leveled{}, fmt.Errorf("no node knows a feature %q (headrace cluster features lists them)", name)
	}
	answer := leveled{Feature: name, From: now.Features[i].Level, Level: level}
	switch {
	case answer.From == level:
		return answer, nil
	case level < answer.From && !downgrade:
		return answer, fmt.Errorf("%s is at level %d: to lower it, say --downgrade", name, answer.From)
	}
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.ValidateOnly = dry
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType = name, level, upgradeOnly
	if level < answer.From {
		u.UpgradeType, u.AllowDowngrade = safeDowngrade, true
	}
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return answer, err
	}
	code, message := resp.ErrorCode, resp.ErrorMessage
	for _, r := range resp.Results { // before version 2
		if code == 0 {
			code, message = r.ErrorCode, r.ErrorMessage
		}
	}
	if err := kerr.ErrorForCode(code); err != nil {
		return answer, target.Refused(err, "%s stays at level %d: %s", name, answer.From, target.Explain(err, words(message)))
	}
	answer.Done = !dry
	return answer, nil
}
