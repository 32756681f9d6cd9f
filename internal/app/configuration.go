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

// configuration is what a node is told before it starts: the file, if there is one, over it the environment, and over both the
// nodes to join that the command line names.
func (env Env) configuration(file string, join []string) (static conf.Static, problems []conf.Problem) {
	if file != "" {
		static, problems = conf.ExamineFile(file)
	}
	static, more := static.WithEnvironment(env.Environ())
	problems = append(problems, more...)
	if len(join) > 0 {
		joining, err := static.With("controller.quorum.bootstrap.servers", strings.Join(join, ","))
		if err != nil {
			return static, append(problems, conf.Problem{Where: "--join", Text: err.Error(), Refused: true})
		}
		static = joining
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
