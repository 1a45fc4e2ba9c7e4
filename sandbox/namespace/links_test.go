//go:build linux && (amd64 || arm64)

package namespace_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"hotaru/sandbox"
	"hotaru/sandbox/sandboxtest"
)

// guarded says what under /proc is neither hidden nor read-only although it should be, what is wrong with /dev, and "fine".
const guarded = `
for f in kcore keys kallsyms timer_list sysrq-trigger; do
	[ ! -e /proc/$f ] || [ -c /proc/$f ] || echo "/proc/$f is not hidden"
done
[ -z "$(ls /proc/fs 2>&-)" ] || echo "/proc/fs is not hidden"
for f in sys/kernel/core_pattern sys/kernel/hostname irq/default_smp_affinity; do
	[ ! -e /proc/$f ] || ! (echo x >/proc/$f) 2>&- || echo "/proc/$f is written"
done
[ -c /dev/null ] && (echo x >/dev/null) 2>&- || echo "no /dev/null"
(echo x >/dev/x) 2>&- && echo "/dev is written"
(echo x >/opt/x) 2>&- && [ ! -L /tmp ] && echo "the root is written"
echo fine
`

// An image's directories for /proc, /dev and /tmp may be links, to each other, to the host's or to themselves (CVE-2025-31133,
// CVE-2025-52565, CVE-2019-19921: what hides was put elsewhere). The sandbox is refused, or all is hidden in it.
func TestMaskedThroughLinks(t *testing.T) {
	needRoot(t)
	sandboxtest.CheckLeaks(t)
	driver := newDriver(t)
	for name, links := range map[string]map[string]string{
		"no links":         nil,
		"proc is opt":      {"proc": "/opt"},
		"proc is outside":  {"proc": "../../../../../../proc"},
		"dev is opt":       {"dev": "opt"},
		"dev is proc":      {"dev": "/proc"},
		"dev is in proc":   {"dev": "/proc/self/root/opt"},
		"proc is dev":      {"proc": "/dev"},
		"tmp is proc":      {"tmp": "/proc"},
		"tmp is dev":       {"tmp": "/dev"},
		"tmp is opt":       {"tmp": "/opt"},
		"proc is tmp":      {"proc": "/tmp"},
		"dev is tmp":       {"dev": "/tmp"},
		"proc is itself":   {"proc": "proc"},
		"a ring of two":    {"proc": "dev", "dev": "proc"},
		"a link of nobody": {"proc": "/proc/1/root/proc"},
		"no null device":   {"dev/null": "/proc/sys/kernel/core_pattern", "dev/console": "/proc/sys/kernel/core_pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			root := sandboxtest.Root(t)
			for path, target := range links {
				path = filepath.Join(root.Dir, path)
				if err := errors.Join(os.RemoveAll(path), os.Symlink(target, path)); err != nil {
					t.Fatal(err)
				}
			}
			box, err := driver.Create(t.Context(), sandbox.Spec{ID: "links", Root: root, Limits: sandbox.Limits{TmpBytes: 16 << 20}})
			if err != nil {
				if links == nil {
					t.Fatal(err)
				}
				t.Log("refused: ", err)
				return
			}
			if got := runShell(t, box, guarded); got != "fine\n" {
				t.Errorf("inside: %s", got)
			}
			if err := box.Destroy(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
