package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/headrace/headrace/internal/cli/term"
)

// UnreachableError is an address where no node answers.
type UnreachableError struct {
	address string
	seed    bool // the address was given; otherwise a node told it
	cause   error
}

func (e *UnreachableError) Unwrap() error { return e.cause }

// ExitCode is that of all addresses where no node answers.
func (e *UnreachableError) ExitCode() int { return term.ExitUnreachable }

func (e *UnreachableError) Error() string {
	if !e.seed {
		return fmt.Sprintf("the cluster says that a node is at %s, and that cannot be reached: %s; start the node if it is down (headrace cluster health tells), or set its advertised.listeners to an address that works from here", e.address, Reason(e.cause))
	}
	return fmt.Sprintf("cannot reach a node at %s: %s; start one with \"headrace dev\", or name another with --bootstrap HOST:PORT or %s", e.address, Reason(e.cause), bootstrapEnv)
}

// isController tells whether a node that was asked as a broker is none, but a controller (KIP-919).
func isController(ctx context.Context, client *kgo.Client) bool {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType = 2
	for _, seed := range client.SeedBrokers() {
		resp, err := req.RequestWith(ctx, seed)
		if err != nil { // the client may not have noticed yet that the connection of the question before is closed
			resp, err = req.RequestWith(ctx, seed)
		}
		if err == nil && resp.ErrorCode == 0 {
			return true
		}
	}
	return false
}

// refusal says why the first question to the cluster got no answer.
func (c Cluster) refusal(err error) error {
	var invalid *tls.CertificateVerificationError
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return Refused(err, "%s refuses the login of user %q by %s: check --user and --password", c.Bootstrap, c.SASL.User, c.SASL.Mechanism)
	case errors.As(err, new(*handshakeError)) && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.As(err, new(tls.RecordHeaderError))):
		return Refused(err, "%s does not speak TLS: leave --tls out, or name a TLS listener", c.Bootstrap)
	case c.SASL.Mechanism != "" && errors.Is(err, io.EOF):
		return Refused(err, "%s ends the connection at the login of user %q by %s: check --user, --password and --sasl", c.Bootstrap, c.SASL.User, c.SASL.Mechanism)
	case errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return Refused(err, "%s does not take logins by %s: try another --sasl", c.Bootstrap, c.SASL.Mechanism)
	case errors.As(err, &invalid), errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)):
		return Refused(err, "the certificate of %s is not trusted: %s; name its authority with --tls-ca, or its name with --tls-server-name", c.Bootstrap, err)
	}
	seeds, bad := c.seeds()
	if bad != nil {
		return bad
	}
	return &UnreachableError{address: strings.Join(seeds, ","), seed: true, cause: err}
}

// Reason is the root of a connection's failure in few words.
func Reason(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return "the name " + dns.Name + " is not known"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within a few seconds"
	case errors.As(err, &op) && op.Op == "dial":
		if op.Timeout() {
			return "no answer within a few seconds"
		}
		var errno syscall.Errno
		if errors.As(op.Err, &errno) {
			return errno.Error()
		}
		return op.Err.Error()
	case errors.As(err, new(*kerr.Error)):
		return Explain(err, "").Error()
	}
	return "what listens there closes the connection: a node that is starting, or waits for the others of its cluster (its log names them), " +
		"or something that does not speak the Kafka protocol, or wants TLS or a login"
}

// ProtocolError is a refusal by the cluster in words.
type ProtocolError struct {
	Text  string
	Cause error
}

func (e *ProtocolError) Error() string { return e.Text }
func (e *ProtocolError) Unwrap() error { return e.Cause }

// Refused is a ProtocolError of cause in the words of format.
func Refused(cause error, format string, args ...any) error {
	return &ProtocolError{fmt.Sprintf(format, args...), cause}
}

// Explain is a protocol error in words: the server's own where it gave some.
func Explain(err error, message string) error {
	var k *kerr.Error
	switch {
	case err == nil:
		return nil
	case message != "":
		return &ProtocolError{message, err}
	case errors.As(err, &k):
		return Refused(err, "%s (%s)", strings.TrimSuffix(k.Description, "."), k.Message)
	}
	return err
}
