package side

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// NewHeadrace is headrace as binary holds it, with its defaults: an acknowledged record is on the disk.
func NewHeadrace(binary string) System {
	return System{
		Name: Headrace,
		prepare: func(dir string, p place) error {
			return os.WriteFile(filepath.Join(dir, "server.properties"), []byte(headraceConfig(dir, p)), 0o600)
		},
		command: func(dir string) *exec.Cmd {
			return exec.Command(binary, "server", "--config", filepath.Join(dir, "server.properties"))
		},
	}
}

func headraceConfig(dir string, p place) string {
	text := fmt.Sprintf("listeners=PLAINTEXT://%s\nlog.dirs=%s\n", address(p.port()), DataDir(dir))
	if p.alone() {
		return text
	}
	return text + fmt.Sprintf("node.id=%d\ncluster.id=%s\ncontroller.quorum.voters=%s\nheadrace.admin.listener=%s\n",
		p.id, p.cluster, p.voters(0), address(p.port()+1)) // the ports of the admin's default would be one for all
}
