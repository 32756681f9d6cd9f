package kcat

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// properties are those of -X and -F, by librdkafka's names.
type properties map[string]string

// aliases are second names of properties.
var aliases = map[string]string{
	"bootstrap.servers": "metadata.broker.list", "compression.type": "compression.codec", "request.required.acks": "acks",
	"sasl.mechanism": "sasl.mechanisms", "queue.buffering.max.ms": "linger.ms", "max.in.flight": "max.in.flight.requests.per.connection",
	"auto.commit.enable": "enable.auto.commit", "retries": "message.send.max.retries", "delivery.timeout.ms": "message.timeout.ms",
}

// used are the properties that mean something here; a word that must be one of several is checked.
var used = map[string][]string{
	"metadata.broker.list": nil, "client.id": nil, "group.id": nil, "group.instance.id": nil, "transactional.id": nil,
	"security.protocol": {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"}, "sasl.mechanisms": nil, "sasl.username": nil, "sasl.password": nil,
	"ssl.ca.location": nil, "ssl.ca.pem": nil, "ssl.certificate.location": nil, "ssl.certificate.pem": nil, "ssl.key.location": nil, "ssl.key.pem": nil,
	"enable.ssl.certificate.verification": {"true", "false"}, "ssl.endpoint.identification.algorithm": {"none", "https"},
	"compression.codec": {"none", "gzip", "snappy", "lz4", "zstd"}, "compression.level": nil, "acks": {"all", "-1", "0", "1"}, "linger.ms": nil, "enable.idempotence": {"true", "false"},
	"message.timeout.ms": nil, "auto.offset.reset": {"smallest", "earliest", "beginning", "largest", "latest", "end", "error"},
	"enable.auto.commit": {"true", "false"}, "auto.commit.interval.ms": nil, "session.timeout.ms": nil, "heartbeat.interval.ms": nil,
	"isolation.level": {"read_uncommitted", "read_committed"}, "partition.assignment.strategy": nil, "fetch.wait.max.ms": nil, "allow.auto.create.topics": {"true", "false"},
	"partitioner": {"random", "consistent", "consistent_random", "murmur2", "murmur2_random"},
}

// tuned are properties of how librdkafka works inside, which have no counterpart: they are taken, with a word.
var tuned = []string{
	"socket.", "queue.", "queued.", "fetch.", "message.", "batch.", "metadata.", "topic.metadata.", "broker.", "reconnect.", "statistics.", "log.",
	"api.version.", "request.timeout.ms", "retry.", "max.", "receive.", "connections.", "enable.", "internal.", "coordinator.", "check.crcs", "client.rack", "debug", "sticky.",
}

func known() []string { return slices.Sorted(maps.Keys(used)) }

// set takes one property.
func (p properties) set(name, value string, o *options) error {
	name = strings.TrimPrefix(name, "topic.")
	if real, ok := aliases[name]; ok {
		name = real
	}
	words, ok := used[name]
	switch {
	case !ok && slices.ContainsFunc(tuned, func(prefix string) bool { return strings.HasPrefix(name, prefix) }):
		o.warnings = append(o.warnings, "WARN: the property "+name+" has no effect in headrace kcat")
		return nil
	case !ok && strings.HasPrefix(name, "schema.registry."):
		return fatal("Avro and the schema registry are not there in headrace kcat")
	case !ok:
		return fatal("No such configuration property: %q", name)
	case words != nil && !slices.Contains(words, strings.ToLower(value)):
		return fatal("Invalid value %q for configuration property %q", value, name)
	}
	p[name] = value
	return nil
}

// setFromFile also knows what Java's clients have in such a file.
func (p properties) setFromFile(name, value string, o *options) error {
	switch name {
	case "sasl.jaas.config":
		for _, field := range []string{"username", "password"} {
			if _, rest, ok := strings.Cut(value, field+"="); ok && len(rest) > 1 {
				quote := rest[:1]
				if text, _, ok := strings.Cut(rest[1:], quote); ok && strings.Contains(`"'`, quote) {
					p["sasl."+field] = text
				}
			}
		}
		return nil
	case "ssl.endpoint.identification.algorithm":
		if value == "" {
			value = "none"
		}
	}
	return p.set(name, value, o)
}

// dump are the properties as lines.
func (p properties) dump() []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(p)) {
		value := p[name]
		if strings.Contains(name, "password") {
			value = "[redacted]"
		}
		lines = append(lines, name+" = "+value)
	}
	return lines
}

func (p properties) or(name, fallback string) string {
	if v, ok := p[name]; ok {
		return v
	}
	return fallback
}

func (p properties) duration(name string, fallback time.Duration) (time.Duration, error) {
	text, ok := p[name]
	if !ok {
		return fallback, nil
	}
	ms, err := strconv.ParseFloat(text, 64)
	if err != nil || ms < 0 {
		return 0, fatal("Invalid value %q for configuration property %q", text, name)
	}
	return time.Duration(ms * float64(time.Millisecond)), nil
}

const dialTimeout = 10 * time.Second

// clientOptions are where the cluster is, and how to get in.
func (p properties) clientOptions(brokers []string, e term.Env) ([]kgo.Opt, error) {
	var seeds []string
	for _, b := range brokers {
		b = strings.TrimSpace(b)
		if _, rest, ok := strings.Cut(b, "://"); ok {
			b = rest
		}
		if _, _, err := net.SplitHostPort(b); err != nil {
			b = net.JoinHostPort(strings.Trim(b, "[]"), "9092")
		}
		seeds = append(seeds, b)
	}
	opts := []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.ClientID(p.or("client.id", "rdkafka"))}
	protocol := strings.ToLower(p.or("security.protocol", "plaintext"))
	if strings.HasPrefix(protocol, "sasl_") {
		login, err := p.login()
		if err != nil {
			return nil, err
		}
		opts = append(opts, login)
	}
	var config *tls.Config
	if strings.HasSuffix(protocol, "ssl") {
		var err error
		if config, err = p.tls(); err != nil {
			return nil, err
		}
	}
	dial := e.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return append(opts, kgo.Dialer(target.Encrypted(dial, config))), nil
}

func (p properties) login() (kgo.Opt, error) {
	user, password := p["sasl.username"], p["sasl.password"]
	switch mechanism := p.or("sasl.mechanisms", "GSSAPI"); mechanism {
	case "PLAIN":
		return kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()), nil
	case "SCRAM-SHA-256":
		return kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()), nil
	case "SCRAM-SHA-512":
		return kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()), nil
	default:
		return nil, fatal("sasl.mechanisms=%s is not there in headrace kcat: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are", mechanism)
	}
}

func (p properties) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	ca, err := p.pem("ssl.ca")
	if err != nil {
		return nil, err
	}
	if ca != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fatal("ssl.ca.location has no certificate in PEM")
		}
	}
	cert, err := p.pem("ssl.certificate")
	if err != nil {
		return nil, err
	}
	key, err := p.pem("ssl.key")
	if err != nil {
		return nil, err
	}
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fatal("ssl.certificate.location and ssl.key.location: %s", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	switch {
	case p["enable.ssl.certificate.verification"] == "false":
		config.InsecureSkipVerify = true
	case p["ssl.endpoint.identification.algorithm"] == "none":
		target.TrustAnyName(config)
	}
	return config, nil
}

// pem is what NAME.pem has, or the file NAME.location.
func (p properties) pem(name string) ([]byte, error) {
	if text, ok := p[name+".pem"]; ok {
		return []byte(text), nil
	}
	path, ok := p[name+".location"]
	if !ok {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fatal("%s.location: %s", name, err)
	}
	return text, nil
}
