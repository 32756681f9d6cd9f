package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/headrace/headrace/internal/cli/target"
	"github.com/headrace/headrace/internal/cli/term"
)

// home gives the world a directory for the user's files.
func (w *world) home() string {
	if w.env == nil {
		w.env = map[string]string{}
	}
	dir := w.t.TempDir()
	w.env["XDG_CONFIG_HOME"] = dir
	return dir
}

func settingsShown(t *testing.T, w *world, line string) map[string]target.Value {
	t.Helper()
	r := w.run("", line+" -o json")
	var shown struct {
		Settings []target.Value `json:"settings"`
	}
	if err := json.Unmarshal([]byte(r.out), &shown); err != nil {
		t.Fatalf("%s: %v %+v", line, err, r)
	}
	all := map[string]target.Value{}
	for _, v := range shown.Settings {
		all[v.Name] = v
	}
	return all
}

func TestContextsAreKeptUsedChangedAndDeleted(t *testing.T) {
	w := newWorld(t, kfake.SeedTopics(1, "a"))
	dir, at := w.home(), w.at
	w.at = "" // no HEADRACE_BOOTSTRAP
	w.want("", "context list -o json", "[]\n")
	w.want("", "context create here -b "+at, "created context here\n")
	w.want("", "context create there -b 127.0.0.1:1", "created context there\n")
	w.want("", "topic list -o json --context here", w.run("", "topic list -o json").out) // the first is in use
	w.refused(term.ExitUnreachable, "", "topic list --context there", "cannot reach a node at 127.0.0.1:1")
	w.env["HEADRACE_CONTEXT"] = "there"
	w.refused(term.ExitUnreachable, "", "topic list", "cannot reach a node at 127.0.0.1:1")
	delete(w.env, "HEADRACE_CONTEXT")
	w.want("", "context use there", "used context there\n")
	w.want("", "context list", "NAME     BOOTSTRAP"+strings.Repeat(" ", len(at)-9)+"  USER\nhere     "+at+"\nthere *  127.0.0.1:1\n")
	w.want("", "context edit there -b "+at+" --tls --tls-insecure", "changed context there\n")
	w.want("", "context edit there --unset tls --unset tls-insecure", "changed context there\n")
	w.want("", "topic list -o json", w.run("", "topic list -o json --context here").out)
	w.want("", "context delete there", "deleted context there\n")
	w.refused(term.ExitUsage, "", "context use there", "there is no context there: there are here")
	w.refused(term.ExitUsage, "", "topic list --context nowhere", "there is no context nowhere: there are here")
	w.refused(term.ExitFailed, "", "context create here -b x", "context here exists already")
	w.refused(term.ExitUsage, "", "context create other", "--bootstrap is missing")
	w.refused(term.ExitUsage, "", "context edit here", "nothing to change")
	w.refused(term.ExitUsage, "", "context create other -b x --sasl KERBEROS", "\"KERBEROS\" is none of PLAIN")
	w.refused(term.ExitUsage, "", "context create other -b x --sasl PLAIN", "the user is missing")
	info, err := os.Stat(filepath.Join(dir, "headrace", "contexts.yaml"))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestASettingComesFromFlagElseEnvironmentElseContextElseDefault(t *testing.T) {
	w := newWorld(t)
	w.home()
	w.at = ""
	if v := settingsShown(t, w, "context show")["bootstrap"]; v.Value != "127.0.0.1:9092" || v.Source != "default" {
		t.Errorf("%+v", v)
	}
	if r := w.run("secret\n", "context create prod -b prod:9093 --sasl plain --user alice --password -"); r.code != term.ExitOK {
		t.Fatalf("%+v", r)
	}
	shown := settingsShown(t, w, "context show")
	if v := shown["bootstrap"]; v.Value != "prod:9093" || v.Source != "context prod" {
		t.Errorf("%+v", v)
	}
	if v := shown["password"]; v.Value != "********" || v.Source != "context prod" {
		t.Errorf("%+v", v)
	}
	w.env["HEADRACE_USER"] = "bob"
	if v := settingsShown(t, w, "context show prod")["user"]; v.Value != "bob" || v.Source != "environment HEADRACE_USER" {
		t.Errorf("%+v", v)
	}
	if v := settingsShown(t, w, "context show --user carol")["user"]; v.Value != "carol" || v.Source != "flag --user" {
		t.Errorf("%+v", v)
	}
	// An address of another kind sets the context aside, so that its password does not go there.
	delete(w.env, "HEADRACE_USER")
	if v := settingsShown(t, w, "context show -b elsewhere:1"); v["password"].Value != "" || v["user"].Value != "" {
		t.Errorf("%+v", v)
	}
	if v := settingsShown(t, w, "context show -b elsewhere:1 --context prod"); v["bootstrap"].Value != "elsewhere:1" || v["user"].Value != "alice" {
		t.Errorf("%+v", v)
	}
	for _, line := range []string{"context show", "context show -o yaml", "context list", "context list -o json"} {
		if r := w.run("", line); strings.Contains(r.out, "secret") {
			t.Errorf("%s: %s", line, r.out)
		}
	}
}

func TestAPasswordThatOthersCanReadIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes mean nothing there")
	}
	w := newWorld(t)
	dir := w.home()
	w.at = ""
	path := filepath.Join(dir, "headrace", "contexts.yaml")
	w.run("", "context create open -b h:1")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := w.run("", "context list"); r.code != term.ExitOK {
		t.Errorf("no password: %+v", r)
	}
	w.run("", "context create shut -b h:1 --sasl SCRAM-SHA-512 --user u --password p")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	w.refused(term.ExitFailed, "", "context list", path+" holds a password and others may open it (mode 0640): chmod 600 "+path)
	w.refused(term.ExitFailed, "", "topic list", "chmod 600")
	if err := os.WriteFile(path, []byte("contexts: {a: {bootstarp: x}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.refused(term.ExitFailed, "", "topic list", `context a: "bootstarp" is none of the settings: bootstrap, tls`)
}

func TestLoginsReachClustersThatWantThem(t *testing.T) {
	w := newWorld(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "alice", "secret"), kfake.Superuser("PLAIN", "bob", "hidden"), kfake.SeedTopics(1, "a"))
	w.home()
	w.want("", "topic list -o json --sasl scram-sha-256 --user alice --password secret", w.run("", "topic list -o json --sasl PLAIN --user bob --password hidden").out)
	if r := w.run("", "topic list --sasl PLAIN --user bob --password hidden"); r.code != term.ExitOK || !strings.Contains(r.out, "\na ") {
		t.Errorf("%+v", r)
	}
	w.refused(term.ExitFailed, "", "topic list --sasl PLAIN --user bob --password wrong", "ends the connection at the login of user \"bob\" by PLAIN: check --user, --password")
	w.refused(term.ExitFailed, "", "topic list --sasl SCRAM-SHA-512 --user alice --password secret", "login")
	w.refused(term.ExitUsage, "", "topic list --user bob", "the way to log in is missing: give --sasl PLAIN")
	w.refused(term.ExitUnreachable, "", "topic list", "wants TLS or a login")
}

func TestClustersBehindTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"kafka.test"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}), kfake.SeedTopics(1, "a"))
	for line, text := range map[string]string{
		"topic list --tls-insecure":                                   "",
		"topic list --tls-ca " + ca + " --tls-server-name kafka.test": "",
		"topic list --tls":                                            "the certificate of " + w.at + " is not trusted",
		"topic list --tls-ca " + ca:                                   "name its authority with --tls-ca, or its name with --tls-server-name",
		"topic list --tls-ca " + ca + "x":                             "tls-ca: open " + ca + "x",
	} {
		if text != "" {
			w.refused(term.ExitFailed, "", line, text)
		} else if r := w.run("", line); r.code != term.ExitOK || !strings.Contains(r.out, "\na ") {
			t.Errorf("%s: %+v", line, r)
		}
	}
	w.refused(term.ExitUnreachable, "", "topic list", "wants TLS or a login")
	w.refused(term.ExitUsage, "", "topic list --tls-cert x", "tls-cert and tls-key go together")
	w.refused(term.ExitUsage, "", "topic list --tls=maybe", "\"maybe\" is neither true nor false")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // as a node does with a first frame of such a length
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	plain := &world{t: t, at: l.Addr().String()}
	plain.refused(term.ExitFailed, "", "topic list --tls", "does not speak TLS")
}
