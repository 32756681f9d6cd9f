package kafkatools

import (
	"errors"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// entity is one thing whose configs are meant; the name "" is the default of its kind.
type entity struct{ kind, name string }

const (
	kindTopics  = "topics"
	kindClients = "clients"
	kindUsers   = "users"
	kindBrokers = "brokers"
	kindIPs     = "ips"
	kindMetrics = "client-metrics"
	kindGroups  = "groups"
	kindLoggers = "broker-loggers"
)

var kinds = []string{kindTopics, kindClients, kindUsers, kindBrokers, kindIPs, kindMetrics, kindGroups, kindLoggers}

// Options that name an entity of a kind, and those that mean a kind's default, in the order that counts.
var (
	kindOptions     = []entity{{kindTopics, "topic"}, {kindClients, "client"}, {kindUsers, "user"}, {kindBrokers, "broker"}, {kindLoggers, "broker-logger"}, {kindIPs, "ip"}, {kindMetrics, "client-metrics"}, {kindGroups, "group"}}
	defaultsOptions = []entity{{kindClients, "client-defaults"}, {kindUsers, "user-defaults"}, {kindBrokers, "broker-defaults"}, {kindIPs, "ip-defaults"}}
)

// configCall is a run of kafka-configs.
type configCall struct {
	*call
	k     *cluster
	kinds []string
	names []string // with --describe there may be fewer than kinds
}

func runConfigs(c *call) error {
	c.configOptions()
	err := c.begin()
	if err == nil {
		err = c.aboutItself("This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group")
	}
	if err == nil {
		err = c.changeConfigs()
	}
	var use *usageError
	var code ended
	if err == nil || errors.As(err, &use) || errors.As(err, &code) || c.ctx.Err() != nil {
		return err
	}
	f := asFailure(err)
	switch {
	case strings.HasPrefix(f.class, "joptsimple."), f.class == "java.lang.IllegalArgumentException",
		f.class == apiErrors+"InvalidConfigurationException" && !errors.As(err, new(*answered)):
		c.complain(f.text)
		return ended(1)
	}
	c.complain("Error while executing config command with args '" + strings.Join(c.args, " ") + "'")
	if errors.As(err, new(*answered)) {
		c.complain("java.util.concurrent.ExecutionException: " + f.named())
	} else {
		c.complain(f.named())
	}
	return ended(1)
}

// answered is an error that came from the cluster.
type answered struct{ cause error }

func (a *answered) Error() string { return a.cause.Error() }
func (a *answered) Unwrap() error { return a.cause }

func fromCluster(err error) error {
	if err == nil {
		return nil
	}
	return &answered{err}
}

func (c *call) configOptions() {
	p := &c.p
	p.value("bootstrap-server", "server to connect to", "Nodes to ask first, host:port separated by commas.")
	p.value("bootstrap-controller", "controller to connect to", "Controllers to ask first.")
	p.value("command-config", "command config property file", "A file of client properties, such as those for TLS and logins.")
	p.flag("alter", "Change configs.")
	p.flag("describe", "Show configs.")
	p.flag("all", "With --describe, also configs that are not set on the entity itself.")
	p.value("entity-type", "", "What has the configs: "+strings.Join(kinds, ", ")+".").many()
	p.value("entity-name", "", "Its name: of a topic, client, user, node, address, subscription or group.").many()
	p.flag("entity-default", "The default of all clients, users, brokers or ips.")
	p.value("add-config", "", "Configs to set, as k1=v1,k2=[v1,v2],k3=v3.")
	p.value("add-config-file", "", "A properties file with configs to set.")
	p.value("delete-config", "", "Configs to remove, as k1,k2.").list()
	p.value("topic", "", "A topic's name.")
	p.value("client", "", "A client's id.")
	p.flag("client-defaults", "The default of all clients.")
	p.value("user", "", "A user's name.")
	p.flag("user-defaults", "The default of all users.")
	p.value("broker", "", "A node's id.")
	p.flag("broker-defaults", "The default of all nodes.")
	p.value("broker-logger", "", "The id of a node whose loggers are meant.")
	p.value("ip", "", "An address.")
	p.flag("ip-defaults", "The default of all addresses.")
	p.value("group", "", "A group's id.")
	p.value("client-metrics", "", "The name of a subscription to clients' metrics.")
}

func (c *call) changeConfigs() error {
	if err := c.line.check(); err != nil {
		return err
	}
	x := &configCall{call: c}
	x.entities()
	if err := x.checkOptions(); err != nil {
		return err
	}
	p, err := c.line.readPropsOf("command-config")
	if err != nil {
		return err
	}
	if c.line.has("bootstrap-controller") {
		return illegal("--bootstrap-controller is not there in this tool: name a broker with --bootstrap-server")
	}
	if c.line.has("alter") && len(x.kinds) != len(x.names) {
		return illegal("An entity name must be specified for every entity type")
	}
	if x.k, err = c.connect(p, c.line.text("bootstrap-server"), "adminclient-1", "describeCluster"); err != nil {
		return err
	}
	defer x.k.Close()
	if c.line.has("alter") {
		return x.alter()
	}
	return x.describe()
}

// entities collects what the options name.
func (x *configCall) entities() {
	l := x.line
	x.kinds = append(x.kinds, l.all("entity-type")...)
	names := l.all("entity-name")
	for _, o := range l.order {
		switch o.name {
		case "entity-name":
			x.names, names = append(x.names, names[0]), names[1:]
		case "entity-default":
			x.names = append(x.names, "")
		}
	}
	for _, o := range kindOptions {
		if l.has(o.name) {
			x.kinds, x.names = append(x.kinds, o.kind), append(x.names, l.text(o.name))
		}
	}
	for _, o := range defaultsOptions {
		if l.has(o.name) {
			x.kinds, x.names = append(x.kinds, o.kind), append(x.names, "")
		}
	}
}

func (x *configCall) checkOptions() error {
	l := x.line
	if l.count("alter", "describe") != 1 {
		return usage("Command must include exactly one action: --describe, --alter")
	}
	if err := l.forbid("describe", "add-config", "delete-config"); err != nil {
		return err
	}
	if err := x.checkKinds(); err != nil {
		return err
	}
	if l.count("bootstrap-server", "bootstrap-controller") > 1 {
		return illegal("Only one of --bootstrap-server or --bootstrap-controller can be specified")
	}
	if err := x.checkNames(); err != nil {
		return err
	}
	if l.has("describe") {
		if !x.hasDefaults() && l.has("entity-default") {
			return illegal("--entity-default must not be specified with --describe of %s", strings.Join(x.kinds, ","))
		}
		if x.has(kindLoggers) && !x.named() {
			return illegal("An entity name must be specified with --describe of %s", strings.Join(x.kinds, ","))
		}
		return nil
	}
	return x.checkAlter()
}

func (x *configCall) has(kind string) bool { return slices.Contains(x.kinds, kind) }

func (x *configCall) named() bool {
	return slices.ContainsFunc(x.names, func(n string) bool { return n != "" })
}

// hasDefaults tells whether a kind is there that has defaults.
func (x *configCall) hasDefaults() bool {
	return x.has(kindUsers) || x.has(kindClients) || x.has(kindBrokers) || x.has(kindIPs)
}

func (x *configCall) checkKinds() error {
	l := x.line
	var twice []string
	seen := map[string]bool{}
	for _, k := range x.kinds {
		if seen[k] {
			twice = append(twice, k)
		}
		seen[k] = true
	}
	if twice != nil {
		return illegal("Duplicate entity type(s) specified: %s", strings.Join(twice, ","))
	}
	if l.count("bootstrap-server", "bootstrap-controller") == 0 {
		return illegal("Either --bootstrap-server or --bootstrap-controller must be specified.")
	}
	for _, k := range x.kinds {
		if !slices.Contains(kinds, k) {
			return illegal("Invalid entity type %s, the entity type must be one of %s with a --bootstrap-server or --bootstrap-controller argument", k, strings.Join(kinds, ", "))
		}
	}
	switch {
	case len(x.kinds) == 0:
		return illegal("At least one entity type must be specified")
	case len(x.kinds) > 1 && !(len(x.kinds) == 2 && x.has(kindUsers) && x.has(kindClients)):
		return illegal("Only 'users' and 'clients' entity types may be specified together")
	}
	if l.count("entity-name", "entity-type", "entity-default") > 0 && slices.ContainsFunc(append(slices.Clone(kindOptions), defaultsOptions...), func(o entity) bool { return l.has(o.name) }) {
		return illegal("--entity-{type,name,default} should not be used in conjunction with specific entity flags")
	}
	return nil
}

func (x *configCall) checkNames() error {
	for _, name := range x.names {
		if name == "" {
			continue
		}
		if _, err := strconv.ParseInt(name, 10, 32); err != nil && (x.has(kindBrokers) || x.has(kindLoggers)) {
			return illegal("The entity name for %s must be a valid integer broker id, but it is: %s", x.kinds[0], name)
		}
		if x.has(kindIPs) && net.ParseIP(name) == nil {
			if _, err := net.DefaultResolver.LookupHost(x.ctx, name); err != nil {
				return illegal("The entity name for %s must be a valid IP or resolvable host, but it is: %s", x.kinds[0], name)
			}
		}
	}
	return nil
}

func (x *configCall) checkAlter() error {
	l := x.line
	if x.hasDefaults() {
		if len(x.names) == 0 {
			return illegal("An entity-name or default entity must be specified with --alter of users, clients, brokers or ips")
		}
	} else if !x.named() {
		return illegal("An entity name must be specified with --alter of %s", strings.Join(x.kinds, ","))
	}
	if l.count("add-config", "add-config-file") == 2 {
		return illegal("Only one of --add-config or --add-config-file must be specified")
	}
	if l.count("add-config", "add-config-file", "delete-config") == 0 {
		return illegal("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter")
	}
	return nil
}

// keyValue is a config to be set.
type keyValue struct{ key, value string }

var configKey = regexp.MustCompile(`^[$a-zA-Z0-9._-]*$`)

// additions reads --add-config and --add-config-file.
func (x *configCall) additions() ([]keyValue, error) {
	p, err := x.line.readPropsOf("add-config-file")
	if err != nil {
		return nil, err
	}
	var all []keyValue
	for key, value := range p.values {
		all = append(all, keyValue{key, value})
	}
	slices.SortFunc(all, func(a, b keyValue) int { return strings.Compare(a.key, b.key) })
	if x.line.has("add-config") {
		for _, pair := range outsideBrackets(x.line.text("add-config"), ',') {
			parts := outsideBrackets(pair, '=')
			if len(parts) != 2 {
				return nil, illegal("requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.")
			}
			value := strings.NewReplacer("[", "", "]", "").Replace(parts[1])
			all = append(all, keyValue{strings.TrimSpace(parts[0]), strings.TrimSpace(value)})
		}
	}
	for _, kv := range all {
		if !configKey.MatchString(kv.key) {
			return nil, illegal("Invalid character found for config key: %s", kv.key)
		}
	}
	return all, nil
}

// outsideBrackets cuts text at a letter where it stands outside of [ ].
func outsideBrackets(text string, cut rune) []string {
	var parts []string
	depth, from := 0, 0
	for i, r := range text {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		case cut:
			if depth <= 0 {
				parts = append(parts, text[from:i])
				from = i + 1
			}
		}
	}
	return append(parts, text[from:])
}

// deletions reads --delete-config.
func (x *configCall) deletions() []string {
	var all []string
	for _, key := range x.line.all("delete-config") {
		all = append(all, strings.TrimSpace(key))
	}
	return all
}
