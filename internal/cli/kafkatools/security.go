package kafkatools

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/headrace/headrace/internal/cli/target"
)

// security turns the properties security.protocol, sasl.* and ssl.* into options of the client. What has no counterpart is
// refused.
func (p props) security() ([]kgo.Opt, *tls.Config, error) {
	given := p.or("security.protocol", "PLAINTEXT")
	protocol := strings.ToUpper(given)
	var opts []kgo.Opt
	var config *tls.Config
	switch protocol {
	case "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL":
	default:
		return nil, nil, configError("Invalid value %s for configuration security.protocol: String must be one of (case insensitive): PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", given)
	}
	if strings.HasPrefix(protocol, "SASL_") {
		mechanism, err := p.login()
		if err != nil {
			return nil, nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	if strings.HasSuffix(protocol, "SSL") {
		var err error
		if config, err = p.tls(); err != nil {
			return nil, nil, err
		}
	}
	return opts, config, nil
}

func configError(format string, args ...any) error {
	return javaError("org.apache.kafka.common.config.ConfigException", format, args...)
}

var jaasOption = regexp.MustCompile(`([\w.]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s;"']+))`)

// login reads sasl.mechanism and sasl.jaas.config.
func (p props) login() (sasl.Mechanism, error) {
	mechanism := p.or("sasl.mechanism", "GSSAPI")
	options, jaas := map[string]string{}, p.or("sasl.jaas.config", "")
	for _, m := range jaasOption.FindAllStringSubmatch(jaas, -1) {
		options[m[1]] = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[2]) + m[3] + m[4]
	}
	user, password := options["username"], options["password"]
	switch mechanism {
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		if jaas == "" {
			return nil, configError("sasl.jaas.config is missing: %s wants a user name and a password there", mechanism)
		}
		if user == "" {
			return nil, configError("sasl.jaas.config has no username")
		}
	}
	switch mechanism {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password, IsToken: options["tokenauth"] == "true"}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password, IsToken: options["tokenauth"] == "true"}.AsSha512Mechanism(), nil
	}
	return nil, configError("sasl.mechanism=%s is not there in this tool: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are", mechanism)
}

// tls reads the ssl.* properties. Only stores in PEM can be read.
func (p props) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, err := p.pem("ssl.truststore", "ssl.truststore.certificates")
	if err != nil {
		return nil, err
	}
	if roots != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(roots) {
			return nil, configError("the truststore has no certificate in PEM")
		}
	}
	chain, err := p.pem("ssl.keystore", "ssl.keystore.certificate.chain")
	if err != nil {
		return nil, err
	}
	if chain != nil {
		key := chain // a PEM file has both
		if inline, ok := p.get("ssl.keystore.key"); ok {
			key = []byte(inline)
		}
		if strings.Contains(string(key), "ENCRYPTED") {
			return nil, configError("the private key of the keystore is encrypted; decrypt it with: openssl pkey -in FILE -out PLAIN")
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return nil, configError("the keystore: %s", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if algorithm, ok := p.get("ssl.endpoint.identification.algorithm"); ok && algorithm == "" {
		target.TrustAnyName(config)
	}
	return config, nil
}

// pem reads a store: inline, or from the file that STORE.location names. Nil is none.
func (p props) pem(store, inline string) ([]byte, error) {
	if text, ok := p.get(inline); ok {
		return []byte(text), nil
	}
	path, ok := p.get(store + ".location")
	if !ok {
		return nil, nil
	}
	if kind := p.or(store+".type", "JKS"); kind != "PEM" {
		return nil, configError("%s.type=%s is not there in this tool: make it PEM, with: keytool -exportcert -rfc -keystore %s", store, kind, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, configError("%s.location: %s", store, err)
	}
	return text, nil
}
