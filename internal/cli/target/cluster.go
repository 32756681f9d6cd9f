package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/headrace/headrace/internal/cli/term"
)

// Cluster is where a cluster is and how to get in.
type Cluster struct {
	Bootstrap string // host:port separated by commas
	TLS       TLS
	SASL      SASL
}

// TLS says whether connections are encrypted and whom to trust.
type TLS struct {
	Enabled    bool
	CA         string // file; empty: the system's
	Cert, Key  string // files of the client's own certificate
	ServerName string // empty: the host's
	Insecure   bool   // takes any certificate
}

// SASL is a login. Mechanism is empty for none.
type SASL struct {
	Mechanism, User, Password string
}

// Mechanisms are the logins there are.
var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

func (c Cluster) seeds() ([]string, error) {
	var seeds []string
	for _, s := range strings.Split(c.Bootstrap, ",") {
		s = strings.TrimSpace(s)
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			host, port = strings.Trim(s, "[]"), "9092"
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if host == "" || err != nil || n == 0 || strings.ContainsAny(host, "/ ") {
			return nil, term.Usage("--bootstrap: %q is not host:port", s)
		}
		seeds = append(seeds, net.JoinHostPort(host, port))
	}
	return seeds, nil
}

// dialer is the way to a node.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// dialer encrypts what dial connects.
func (t TLS) dialer(dial dialer) (dialer, error) {
	if !t.Enabled {
		return dial, nil
	}
	config, err := t.config()
	return Encrypted(dial, config), err
}

// Encrypted encrypts what dial connects, where there is a config. Certificates are checked against the name in it, else against the
// host of each address.
func Encrypted(dial dialer, config *tls.Config) dialer {
	if config == nil {
		return dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		own := config.Clone()
		if own.ServerName == "" {
			own.ServerName, _, _ = net.SplitHostPort(address)
		}
		secured := tls.Client(conn, own)
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, &handshakeError{err}
		}
		return secured, nil
	}
}

// TrustAnyName has certificates checked, but not whose name is in them.
func TrustAnyName(config *tls.Config) {
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		o := x509.VerifyOptions{Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(o)
		return err
	}
}

// handshakeError is a connection that could not be encrypted.
type handshakeError struct{ cause error }

func (e *handshakeError) Error() string { return "TLS: " + e.cause.Error() }
func (e *handshakeError) Unwrap() error { return e.cause }

func (t TLS) config() (*tls.Config, error) {
	config := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.Insecure, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls-ca: %s holds no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" || t.Key != "" {
		if t.Cert == "" || t.Key == "" {
			return nil, term.Usage("tls-cert and tls-key go together: one of them is missing")
		}
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls-cert, tls-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	}
	return nil, term.Usage("sasl: %q is none of %s", s.Mechanism, strings.Join(mechanisms, ", "))
}
