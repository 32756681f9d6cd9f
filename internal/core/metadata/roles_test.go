package metadata

import (
	"testing"

	"github.com/headrace/headrace/internal/base/kafka"
)

func TestANodeIsWhatItsRegistrationTells(t *testing.T) {
	img := New("cluster")
	for id, roles := range []Roles{BothRoles, BrokerRole, ControllerRole} {
		r := &RegisterBrokerRecord{Node: kafka.NodeID(id), Features: []FeatureRange{{Name: "metadata.version", Min: 1, Max: 30}}}
		if f, ok := roles.Feature(); ok {
			r.Features = append(r.Features, f)
		}
		if r.Roles() != roles {
			t.Errorf("roles %b of a registration are told as %b", roles, r.Roles())
		}
		img, _ = img.Apply([]Record{r}, kafka.Offset(id))
	}
	later := &RegisterBrokerRecord{Node: 3, Features: []FeatureRange{{Name: rolesFeature, Max: 4}}} // of a role that this version does not know
	img, _ = img.Apply([]Record{later}, 3)
	for id, is := range [][2]bool{{true, true}, {true, false}, {false, true}, {true, true}} {
		n, _ := img.Node(kafka.NodeID(id))
		if n.IsBroker() != is[0] || n.IsController() != is[1] {
			t.Errorf("node %d: broker %t, controller %t", id, n.IsBroker(), n.IsController())
		}
		if _, ok := img.Broker(kafka.NodeID(id)); ok != is[0] {
			t.Errorf("node %d is found among the brokers: %t", id, ok)
		}
	}
	if n := len(img.Brokers()); n != 3 {
		t.Errorf("%d brokers", n)
	}
}
