package api

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	transactions "github.com/headrace/headrace/internal/node/txns"
	"github.com/headrace/headrace/internal/node/verify"
)

// TestShapesAreThoseOfKmsg makes shapes.go from kmsg's source (with -update) and holds it current: order and types of the
// fields are those of the structs, versions and tags are in the comments behind the fields.
func TestShapesAreThoseOfKmsg(t *testing.T) {
	g := shapeMaker{comments: fieldComments(t)}
	var b bytes.Buffer
	b.WriteString("// Code generated from kmsg by go test -run TestShapesAreThoseOfKmsg -update; DO NOT EDIT.\n\npackage api\n\n" +
		"// shapes are those of the requests that are served, by key. Nothing changes them.\nvar shapes = map[int16]requestShape{\n")
	keys := slices.Clone(controllerRequests)
	for _, e := range wholeTable() {
		keys = append(keys, e.Key)
	}
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		req := kmsg.RequestForKey(int16(key))
		fmt.Fprintf(&b, "\t%d: {flexible: %s, fields: []field{ // %s\n", key, flexibleFrom(req), key.Name())
		g.fields(&b, reflect.TypeOf(req).Elem())
		b.WriteString("}},\n")
	}
	b.WriteString("}\n")
	want, err := format.Source(b.Bytes())
	if err != nil {
		t.Fatalf("%v in:\n%s", err, b.Bytes())
	}
	if *update {
		if err := os.WriteFile("shapes.go", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile("shapes.go"); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("shapes.go is not what kmsg and the table say (%v): run go generate ./internal/node/api", err)
	}
}

// wholeTable is the table of a node with all that there is.
func wholeTable() []Entry {
	return (&Server{Config: Config{Txns: &transactions.Txns{}, Verify: verify.New(verify.Config{}), Unstable: true}}).table()
}

func flexibleFrom(req kmsg.Request) string {
	for v := int16(0); v <= req.MaxVersion(); v++ {
		req.SetVersion(v)
		if req.IsFlexible() {
			return strconv.Itoa(int(v))
		}
	}
	return "never"
}

// fieldComments finds the comment behind each field of kmsg's structs, by "Struct.Field".
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/twmb/franz-go/pkg/kmsg").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "generated.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				if len(f.Names) == 1 {
					comments[spec.Name.Name+"."+f.Names[0].Name] = f.Comment.Text()
				}
			}
		}
		return false
	})
	return comments
}

type shapeMaker struct{ comments map[string]string }

var (
	tagComment     = regexp.MustCompile(`tag (\d+)`)
	versionComment = regexp.MustCompile(`v(\d+)(\+|-v(\d+))?`)
)

func (g shapeMaker) fields(b *bytes.Buffer, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == reflect.TypeFor[kmsg.Tags]() || i == 0 && f.Name == "Version" {
			continue
		}
		comment := g.comments[t.Name()+"."+f.Name]
		if f.Name == "MaxNumOffsets" || f.Name == "AllowDowngrade" || t.Name()+"."+f.Name == "ShareFetchRequestTopicPartition.PartitionMaxBytes" {
			comment = "v0" // kmsg says nothing of fields that only version 0 has
		}
		b.WriteString("{" + g.value(f.Type) + versionsOf(comment))
		if m := tagComment.FindStringSubmatch(comment); m != nil {
			b.WriteString(", tagged: true, tag: " + m[1])
		}
		g.nested(b, f.Type)
		b.WriteString("},\n")
	}
}

func versionsOf(comment string) string {
	m := versionComment.FindStringSubmatch(comment)
	switch {
	case m == nil:
		return ", last: never"
	case m[2] == "+":
		return ", first: " + m[1] + ", last: never"
	case m[2] == "":
		return ", first: " + m[1] + ", last: " + m[1]
	}
	return ", first: " + m[1] + ", last: " + m[3]
}

// value is a field's kind and size.
func (g shapeMaker) value(t reflect.Type) string {
	size := func(kind string, n uintptr) string { return fmt.Sprintf("kind: %s, size: %d", kind, n) }
	switch {
	case t.Kind() == reflect.String:
		return "kind: stringField"
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.String:
		return size("stringField", t.Elem().Size())
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return size("nullableField", t.Elem().Size())
	case t == reflect.TypeFor[[]byte]():
		return "kind: bytesField"
	case t.Kind() == reflect.Struct:
		return "kind: structField"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return size("structsField", t.Elem().Size())
	case t.Kind() == reflect.Slice:
		return size("valuesField", t.Elem().Size())
	}
	return size("fixedField", t.Size()) // numbers, booleans and ids are as large on the wire
}

func (g shapeMaker) nested(b *bytes.Buffer, t reflect.Type) {
	of := t
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	switch {
	case of.Kind() == reflect.Struct:
		b.WriteString(", of: []field{\n")
		g.fields(b, of)
		b.WriteString("}")
	case t.Kind() == reflect.Slice && t != reflect.TypeFor[[]byte]():
		b.WriteString(", of: []field{{" + g.value(t.Elem()) + "}}")
	}
}

// fill gives every field of a request a random value, and every array a few elements.
func fill(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Type != reflect.TypeFor[kmsg.Tags]() {
				fill(rng, v.Field(i))
			}
		}
	case reflect.Pointer:
		if rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(rng, v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rng.IntN(4), 4))
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", rng.IntN(20)))
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Uint8, reflect.Uint16:
		v.SetUint(uint64(rng.IntN(math.MaxUint8)))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(rng.IntN(math.MaxInt8)))
	default:
		panic(v.Type())
	}
}

// randomRequest is one that a client might send.
func randomRequest(rng *rand.Rand, e Entry) (version int16, body []byte) {
	req := kmsg.RequestForKey(int16(e.Key))
	fill(rng, reflect.ValueOf(req).Elem())
	version = e.Min + int16(rng.IntN(int(e.Max-e.Min)+1))
	req.SetVersion(version)
	return version, req.AppendTo(nil)
}

// memory is about what a decoded value takes beyond itself, without the bytes that alias the body.
func memory(v reflect.Value) (n int64) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n = int64(v.Elem().Type().Size()) + memory(v.Elem())
		}
	case reflect.String:
		n = int64(v.Len())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return 0
		}
		n = int64(v.Len()) * int64(v.Type().Elem().Size())
		for i := range v.Len() {
			n += memory(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += memory(v.Field(i))
		}
	}
	return n
}

func TestWeightIsWhatDecodingTakes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, e := range wholeTable() {
		for range 300 {
			version, body := randomRequest(rng, e)
			weight, err := weigher(int16(e.Key))(version, body)
			req := kmsg.RequestForKey(int16(e.Key))
			req.SetVersion(version)
			if derr := req.ReadFrom(body); err != nil || derr != nil {
				t.Fatalf("%s version %d: weigh %v, decode %v", e.Key.Name(), version, err, derr)
			}
			if taken := memory(reflect.ValueOf(req).Elem()); weight < taken || weight > taken+500 {
				t.Fatalf("%s version %d weighs %d, decodes to %d", e.Key.Name(), version, weight, taken)
			}
		}
	}
}

// TestHostileRequestsAreSeenThrough has bodies that would decode to much, or for long.
func TestHostileRequestsAreSeenThrough(t *testing.T) {
	produce, fetch := kmsg.NewPtrProduceRequest(), kmsg.NewPtrFetchRequest()
	produce.Topics = make([]kmsg.ProduceRequestTopic, 60_000)
	fetch.Topics = make([]kmsg.FetchRequestTopic, 60_000)
	for _, req := range []kmsg.Request{produce, fetch} {
		req.SetVersion(12)
		body := req.AppendTo(nil)
		if weight, err := weigher(req.Key())(12, body); err == nil && weight < 17*int64(len(body)) {
			t.Errorf("key %d: 60,000 empty topics in %d bytes weigh %d", req.Key(), len(body), weight)
		}
	}
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.SetVersion(3)
	body := versions.AppendTo(nil)
	body = append(body[:len(body)-1], 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0)
	if _, err := weigher(versions.Key())(3, body); err == nil {
		t.Error("4,294,967,295 tagged fields were let in")
	}
}

func FuzzWeight(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, e := range wholeTable() {
		for range 5 {
			version, body := randomRequest(rng, e)
			f.Add(int16(e.Key), version, body)
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		shape, served := shapes[key]
		req := kmsg.RequestForKey(key)
		if !served || version < 0 || version > req.MaxVersion() {
			return
		}
		weight, err := shape.weigh(version, body)
		if err != nil {
			return // decoding it might take for ever
		}
		req.SetVersion(version)
		begun := time.Now()
		err = req.ReadFrom(body)
		if d := time.Since(begun); d > time.Second && len(body) < 1<<16 {
			t.Fatalf("key %d version %d took %v to decode", key, version, d)
		}
		if err != nil {
			return
		}
		if taken := memory(reflect.ValueOf(req).Elem()); weight < taken {
			t.Fatalf("key %d version %d weighs %d, decodes to %d", key, version, weight, taken)
		}
	})
}
