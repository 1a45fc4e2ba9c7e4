package runtime

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestPipe has Node.js's bootstrap read a socket as it does where Node.js gives away what is beneath its modules, and as
// where it does not.
func TestPipe(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no Node.js on this machine")
	}
	files, err := filepath.Abs("bootstrap/nodejs")
	if err != nil {
		t.Fatal(err)
	}
	const echo = `
const { listen } = require(process.argv[1] + '/pipe.js');
const buffer = Buffer.alloc(4);
const socket = listen(3, buffer, (n) => {
  require('fs').writeSync(3, buffer.subarray(0, n));
  socket.unref();
  setImmediate(() => socket.ref());
}, () => process.exit(7));
`
	for way, before := range map[string]string{"beneath": "", "by net": "process.binding = () => { throw new Error('no'); };"} {
		t.Run(way, func(t *testing.T) {
			pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
			cmd := exec.CommandContext(t.Context(), node, "--max-old-space-size=100", "-e", before+echo, files)
			cmd.Env, cmd.ExtraFiles, cmd.Stderr = []string{}, []*os.File{theirs}, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			theirs.Close()
			for _, text := range []string{"one", "longer than the buffer is"} {
				got := make([]byte, len(text))
				if _, err := ours.WriteString(text); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(ours, got); err != nil || string(got) != text {
					t.Errorf("%q comes back as %q: %v", text, got, err)
				}
			}
			ours.Close()
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
				t.Errorf("at the end: %v, want status 7", err)
			}
		})
	}
}
