package app

import (
	"fmt"
	"strings"

	"github.com/headrace/headrace/internal/base/conf"
	"github.com/headrace/headrace/internal/cli/term"
)

// configEnv names the configuration file where --config does not.
const configEnv = "HEADRACE_CONFIG"

// configFile is the path of the configuration file; empty where the environment alone configures the node.
func (env Env) configFile(given string) (string, error) {
	if given == "" {
		given = env.Getenv(configEnv)
	}
	if given == "" && !conf.SetsKeys(env.Environ()) {
		return "", term.Usage("no configuration: name a file with --config FILE or %s, or set keys by variables such as KAFKA_LISTENERS (see docs/configuration.md)", configEnv)
	}
	return given, nil
}

// flagKeys are the flags of headrace server that stand for keys, with what they set.
type flagKeys []struct {
	flag, key string
	values    []string // none leaves the key as it is
}

// configuration is what a node is told before it starts: the file, if there is one, over it the environment, and over both the
// flags of the command line.
func (env Env) configuration(file string, flags flagKeys) (static conf.Static, problems []conf.Problem) {
	if file != "" {
		static, problems = conf.ExamineFile(file)
	}
	static, more := static.WithEnvironment(env.Environ())
	problems = append(problems, more...)
	for _, f := range flags {
		if len(f.values) == 0 {
			continue
		}
		with, err := static.With(f.key, strings.Join(f.values, ","))
		if err != nil {
			return static, append(problems, conf.Problem{Where: f.flag, Text: err.Error(), Refused: true})
		}
		static = with
	}
	return static, append(problems, conf.CheckNode(conf.Layers{Static: static})...)
}

// refused is the error of a configuration with problems that stop a start: the first, and how to see the others.
func refused(problems []conf.Problem) error {
	var first error
	others := 0
	for _, p := range problems {
		switch {
		case !p.Refused:
		case first == nil:
			first = p
		default:
			others++
		}
	}
	if others > 0 {
		return fmt.Errorf("%w (and %d more: headrace config check shows all)", first, others)
	}
	return first
}
