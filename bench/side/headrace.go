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
		prepare: func(dir string, port int) error {
			text := fmt.Sprintf("listeners=PLAINTEXT://%s\nlog.dirs=%s\n", address(port), DataDir(dir))
			return os.WriteFile(filepath.Join(dir, "server.properties"), []byte(text), 0o600)
		},
		command: func(dir string) *exec.Cmd {
			return exec.Command(binary, "server", "--config", filepath.Join(dir, "server.properties"))
		},
	}
}
