package conf

import (
	"strings"
	"testing"
)

func adminOf(t *testing.T, keys map[string]string) (AdminConfig, error) {
	t.Helper()
	static, err := NewStatic(keys)
	if err != nil {
		return AdminConfig{}, err
	}
	n, err := NewNode(Layers{Static: static})
	return n.Admin, err
}

func TestTheAdminListenerIsOnLoopbackUnlessToldOtherwise(t *testing.T) {
	a, err := adminOf(t, nil)
	if err != nil || a.Listener != "127.0.0.1:9644" || a.Chosen || !a.Local() || !a.Profiles || a.LogFormat != "text" || a.LogLevels[""] != "INFO" {
		t.Errorf("%+v %v", a, err)
	}
	for listener, local := range map[string]bool{"": false, "0.0.0.0:1": false, ":9644": false, "[::1]:9": true, "localhost:0": true, "10.0.0.1:9": false} {
		if a, err = adminOf(t, map[string]string{"headrace.admin.listener": listener}); err != nil || a.Local() != local || a.Profiles != local || !a.Chosen {
			t.Errorf("%q: %+v %v", listener, a, err)
		}
	}
	if a, _ = adminOf(t, map[string]string{"headrace.admin.listener": ":9", "headrace.admin.pprof": "true"}); !a.Profiles {
		t.Error("profiles that were asked for are not served")
	}
	for _, bad := range []string{"9644", "host", "host:port", "host:70000"} {
		if _, err := adminOf(t, map[string]string{"headrace.admin.listener": bad}); err == nil || !strings.Contains(err.Error(), "host:port") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestLogLevelsAreOfAllAndOfComponents(t *testing.T) {
	a, err := adminOf(t, map[string]string{"headrace.log.level": "warn, transport = debug"})
	if err != nil || a.LogLevels[""] != "WARN" || a.LogLevels["transport"] != "DEBUG" || len(a.LogLevels) != 2 {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := adminOf(t, map[string]string{"headrace.log.level": "transport=loud"}); err == nil || !strings.Contains(err.Error(), "TRACE") {
		t.Errorf("%v", err)
	}
}
