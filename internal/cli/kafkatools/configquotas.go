package kafkatools

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	quotaKeys = []string{"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"}
	ipKeys    = []string{"connection_creation_rate"}
	// quotaTypes are the kinds in the words of the protocol.
	quotaTypes = map[string]string{kindUsers: "user", kindClients: "client-id", kindIPs: "ip"}
)

// scramMechanism is one that users can have credentials for.
type scramMechanism struct {
	name, constant string
	number         int8
	least          int32 // iterations
	hash           func() hash.Hash
	size           int
}

var scramMechanisms = []scramMechanism{
	{"SCRAM-SHA-256", "SCRAM_SHA_256", 1, 4096, sha256.New, sha256.Size},
	{"SCRAM-SHA-512", "SCRAM_SHA_512", 2, 4096, sha512.New, sha512.Size},
}

func scramOf(name string) (m scramMechanism, ok bool) {
	for _, m := range scramMechanisms {
		if m.name == name {
			return m, true
		}
	}
	return scramMechanism{}, false
}

// sorted splits keys into those of quotas, of credentials, and others.
func sorted(all []string) (quotas, scram, unknown []string) {
	for _, key := range all {
		_, isScram := scramOf(key)
		switch {
		case slices.Contains(quotaKeys, key):
			quotas = append(quotas, key)
		case isScram:
			scram = append(scram, key)
		default:
			unknown = append(unknown, key)
		}
	}
	return quotas, scram, unknown
}

const withServer = " using --bootstrap-server."

func (x *configCall) alterUsers(add []keyValue, remove []string) error {
	addQuotas, addScram, addUnknown := sorted(keys(add))
	removeQuotas, removeScram, removeUnknown := sorted(remove)
	list := func(kind string, words []string) string { return kind + "(" + strings.Join(words, ", ") + ")" }
	if x.kinds[0] == kindClients || len(x.kinds) == 2 {
		if wrong := append(addUnknown, addScram...); wrong != nil {
			return illegal("Only quota configs can be added for 'clients'%s Unexpected config names: %s", withServer, list("Set", wrong))
		}
		if wrong := append(removeUnknown, removeScram...); wrong != nil {
			return illegal("Only quota configs can be deleted for 'clients'%s Unexpected config names: %s", withServer, list("ArrayBuffer", wrong))
		}
		return x.alterQuotas(add, remove)
	}
	switch {
	case addUnknown != nil:
		return illegal("Only quota and SCRAM credential configs can be added for 'users'%s Unexpected config names: %s", withServer, list("Set", addUnknown))
	case removeUnknown != nil:
		return illegal("Only quota and SCRAM credential configs can be deleted for 'users'%s Unexpected config names: %s", withServer, list("ArrayBuffer", removeUnknown))
	case addScram == nil && removeScram == nil:
		return x.alterQuotas(add, remove)
	case slices.Contains(x.names, ""):
		return illegal("The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials" + withServer)
	case addQuotas != nil || removeQuotas != nil:
		return illegal("Cannot alter both quota and SCRAM credential configs simultaneously for 'users'" + withServer)
	}
	return x.alterScram(add, remove)
}

func (x *configCall) alterIPs(add []keyValue, remove []string) error {
	wrong := slices.DeleteFunc(append(keys(add), remove...), func(key string) bool { return slices.Contains(ipKeys, key) })
	if len(wrong) > 0 {
		return illegal("Only connection quota configs can be added for 'ips'%s Unexpected config names: %s", withServer, strings.Join(wrong, ","))
	}
	return x.alterQuotas(add, remove)
}

func (x *configCall) alterQuotas(add []keyValue, remove []string) error {
	old, err := x.quotas()
	if err != nil {
		return fromCluster(err)
	}
	var missing []string
	for _, key := range remove {
		if len(old) == 0 || !slices.ContainsFunc(old[0].Values, func(v kmsg.DescribeClientQuotasResponseEntryValue) bool { return v.Key == key }) {
			missing = append(missing, key)
		}
	}
	if missing != nil {
		return javaError(apiErrors+"InvalidConfigurationException", "Invalid config(s): %s", strings.Join(missing, ","))
	}
	entry := kmsg.NewAlterClientQuotasRequestEntry()
	for i, kind := range x.kinds {
		e := kmsg.NewAlterClientQuotasRequestEntryEntity()
		e.Type = quotaTypes[kind]
		if x.names[i] != "" {
			e.Name = kmsg.StringPtr(x.names[i])
		}
		entry.Entity = append(entry.Entity, e)
	}
	for _, kv := range add {
		value, err := strconv.ParseFloat(kv.value, 64)
		if err != nil {
			return illegal("Cannot parse quota configuration value for %s: %s", kv.key, kv.value)
		}
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Value = kv.key, value
		entry.Ops = append(entry.Ops, op)
	}
	for _, key := range remove {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Remove = key, true
		entry.Ops = append(entry.Ops, op)
	}
	return fromCluster(x.sendQuotas(entry))
}

func (x *configCall) sendQuotas(entry kmsg.AlterClientQuotasRequestEntry) error {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	if err := x.k.can(req); err != nil {
		return err
	}
	req.Entries = append(req.Entries, entry)
	ctx, cancel := x.k.bounded(x.ctx)
	defer cancel()
	resp, err := req.RequestWith(ctx, x.k.Client)
	if err != nil {
		return err
	}
	for _, e := range resp.Entries {
		if err := ofCode(e.ErrorCode, e.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

// quotas are those of the entities that the options name.
func (x *configCall) quotas() ([]kmsg.DescribeClientQuotasResponseEntry, error) {
	req := kmsg.NewPtrDescribeClientQuotasRequest()
	if err := x.k.can(req); err != nil {
		return nil, err
	}
	req.Strict = true
	if len(x.names) > len(x.kinds) {
		return nil, illegal("More entity names specified than entity types")
	}
	for i, kind := range x.kinds {
		c := kmsg.NewDescribeClientQuotasRequestComponent()
		c.EntityType = quotaTypes[kind]
		switch {
		case i >= len(x.names):
			c.MatchType = kmsg.QuotasMatchTypeAny
		case x.names[i] == "":
			c.MatchType = kmsg.QuotasMatchTypeDefault
		default:
			c.MatchType, c.Match = kmsg.QuotasMatchTypeExact, kmsg.StringPtr(x.names[i])
		}
		req.Components = append(req.Components, c)
	}
	ctx, cancel := x.k.bounded(x.ctx)
	defer cancel()
	resp, err := req.RequestWith(ctx, x.k.Client)
	if err == nil {
		err = ofCode(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, err
	}
	return resp.Entries, nil
}

func (x *configCall) describeQuotas() error {
	entries, err := x.quotas()
	if err != nil {
		return fromCluster(err)
	}
	for _, e := range entries {
		var who, what []string
		for _, kind := range []string{kindUsers, kindClients, kindIPs} {
			for _, part := range e.Entity {
				word := map[string]string{kindUsers: "user-principal", kindClients: "client-id", kindIPs: "ip"}[kind]
				switch {
				case part.Type != quotaTypes[kind]:
				case part.Name == nil:
					who = append(who, "the default "+word)
				default:
					who = append(who, word+" '"+*part.Name+"'")
				}
			}
		}
		for _, v := range e.Values {
			what = append(what, v.Key+"="+javaDouble(v.Value))
		}
		x.printf("Quota configs for %s are %s\n", strings.Join(who, ", "), strings.Join(what, ", "))
	}
	return nil
}

// javaDouble is a number as Java prints it: 1024.0, 1.0E7.
func javaDouble(f float64) string {
	if a := max(f, -f); a != 0 && (a < 1e-3 || a >= 1e7) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// describeUsers shows quotas, and credentials where only users are meant.
func (x *configCall) describeUsers() error {
	if err := x.describeQuotas(); err != nil {
		return err
	}
	if x.has(kindClients) || slices.Contains(x.names, "") {
		return nil
	}
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	if err := x.k.can(req); err != nil {
		return fromCluster(err)
	}
	for _, name := range x.names {
		u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		u.Name = name
		req.Users = append(req.Users, u)
	}
	ctx, cancel := x.k.bounded(x.ctx)
	defer cancel()
	resp, err := req.RequestWith(ctx, x.k.Client)
	if err == nil {
		err = ofCode(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return fromCluster(err)
	}
	for _, r := range resp.Results {
		if r.ErrorCode == resourceNotFound {
			continue
		}
		if err := ofCode(r.ErrorCode, r.ErrorMessage); err != nil {
			f := asFailure(err)
			x.printf("Error retrieving SCRAM credential configs for user-principal '%s': ExecutionException: %s\n", r.User, f.named())
			continue
		}
		var infos []string
		for _, c := range r.CredentialInfos {
			for _, m := range scramMechanisms {
				if m.number == c.Mechanism {
					infos = append(infos, m.name+"=iterations="+strconv.Itoa(int(c.Iterations)))
				}
			}
		}
		x.printf("SCRAM credential configs for user-principal '%s' are %s\n", r.User, strings.Join(infos, ", "))
	}
	return nil
}

const resourceNotFound = 91

var credential = regexp.MustCompile(`^(?:iterations=(-?[0-9]*),)?password=(.*)$`)

const (
	scramIterations = 4096 // where none are given
	saltSize        = 24
)

func (x *configCall) alterScram(add []keyValue, remove []string) error {
	user := x.names[0]
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	for _, key := range remove {
		d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
		m, _ := scramOf(key)
		d.Name, d.Mechanism = user, m.number
		req.Deletions = append(req.Deletions, d)
	}
	for _, kv := range add {
		m, _ := scramOf(kv.key)
		match := credential.FindStringSubmatch(kv.value)
		if match == nil {
			return illegal("Invalid credential property %s=%s", m.constant, kv.value)
		}
		iterations := int64(scramIterations)
		if match[1] != "" && match[1] != "-1" {
			iterations, _ = strconv.ParseInt(match[1], 10, 32)
		}
		if iterations < int64(m.least) {
			return illegal("Iterations %d is less than the minimum %d required for %s", iterations, m.least, m.name)
		}
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations = user, m.number, int32(iterations)
		u.Salt = make([]byte, saltSize)
		if _, err := rand.Read(u.Salt); err != nil {
			return err
		}
		var err error
		if u.SaltedPassword, err = pbkdf2.Key(m.hash, match[2], u.Salt, int(iterations), m.size); err != nil {
			return err
		}
		req.Upsertions = append(req.Upsertions, u)
	}
	if err := x.k.can(req); err != nil {
		return fromCluster(err)
	}
	ctx, cancel := x.k.bounded(x.ctx)
	defer cancel()
	resp, err := req.RequestWith(ctx, x.k.Client)
	if err != nil {
		return fromCluster(err)
	}
	for _, r := range resp.Results {
		if err := ofCode(r.ErrorCode, r.ErrorMessage); err != nil {
			return fromCluster(err)
		}
	}
	return nil
}
