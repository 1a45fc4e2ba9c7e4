package runtime_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hotaru/runtime"
	"hotaru/runtimeapi"
)

// probe runs a function's only event and returns what it answers, without what differs between two directories.
func probe(t *testing.T, s setup, source string) string {
	t.Helper()
	s.task, s.handler = filepath.Join(t.TempDir(), "task"), "app.handler"
	name := "app.py"
	if s.runtime.Language == runtime.NodeJS {
		name = "app.js"
	}
	put := func() { write(t, filepath.Join(s.task, name), source) }
	if !s.way.early() {
		put()
	} else {
		write(t, filepath.Join(s.task, "empty"), "")
	}
	p := s.launch(t)
	if s.way.early() {
		p.untilWaiting(t.Context())
		put()
	}
	if err := p.init(t.Context()); err != nil {
		t.Fatal(err, p.out.String())
	}
	response, err := p.session.Invoke(t.Context(), &runtimeapi.Event{
		RequestID: "1", Payload: []byte("1"), Deadline: time.Now().Add(time.Minute),
	})
	if err != nil {
		t.Fatal(err, p.out.String())
	}
	return strings.ReplaceAll(p.normal(string(response.Payload)), filepath.Dir(p.task), "/var")
}

const pythonPlace = `
import builtins, gc, locale, logging, os, resource, signal, sys, threading, time, warnings
import __main__

def kind(fd):
    try:
        return os.readlink("/proc/self/fd/" + fd).split(":")[0]
    except OSError:
        return None  # the directory's own

def handler(event, context):
    umask = os.umask(0)
    os.umask(umask)
    return {
        "environ": sorted(os.environ.items()),
        "path": sys.path, "argv": sys.argv, "flags": repr(sys.flags), "executable": sys.executable,
        "prefix": [sys.prefix, sys.exec_prefix], "main": sorted(k for k in vars(__main__) if k.startswith("__")),
        "builtins": sorted(vars(builtins)), "cwd": os.getcwd(), "umask": umask, "priority": os.nice(0),
        "signals": [repr(signal.getsignal(n)).split(" at ")[0] for n in signal.valid_signals()],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "descriptors": sorted((fd, kind(fd)) for fd in os.listdir("/proc/self/fd") if kind(fd)),
        "inheritable": [fd for fd in range(3, 10) if os.path.exists("/proc/self/fd/%d" % fd) and os.get_inheritable(fd)],
        "blocking": [os.get_blocking(fd) for fd in range(4)],
        "threads": [t.name for t in threading.enumerate()],
        "locale": [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(False), sys.getfilesystemencoding()],
        "zone": [time.tzname, time.timezone], "collector": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()],
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), resource.getrlimit(resource.RLIMIT_NOFILE)],
        "warnings": [repr(f) for f in warnings.filters], "hooks": [repr(sys.excepthook).split(" at ")[0], len(sys.path_hooks)],
        "streams": [(s.encoding, s.errors, s.line_buffering, s.isatty()) for s in (sys.stdin, sys.stdout, sys.stderr)],
        "logging": [[type(h).__name__ for h in logging.getLogger().handlers], logging.getLogger().level],
    }
`

const nodePlace = `
const fs = require('fs');
const Module = require('module');
exports.handler = async () => ({
  environ: Object.entries(process.env).sort(),
  argv: process.argv, execArgv: process.execArgv, execPath: process.execPath, cwd: process.cwd(), umask: process.umask(),
  title: process.title, exitCode: process.exitCode,
  paths: [require.resolve.paths('x'), Module.globalPaths], cached: Object.keys(require.cache).sort(),
  listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]).sort(),
  globals: Object.getOwnPropertyNames(globalThis).sort(), symbols: Object.getOwnPropertySymbols(globalThis).map(String).sort(),
  console: Object.keys(console).sort(),
  closedOnExec: (parseInt(fs.readFileSync('/proc/self/fdinfo/3', 'utf8').match(/flags:\s*(\d+)/)[1], 8) & 0o2000000) !== 0,
  zone: [Intl.DateTimeFormat().resolvedOptions(), new Date(0).getTimezoneOffset()],
  limits: [Error.stackTraceLimit, require('v8').getHeapStatistics().heap_size_limit],
  deprecation: [process.noDeprecation, process.throwDeprecation], mode: [require.main && require.main.id, __filename],
});
`

// TestSamePlace looks at everything around a function, in a process that was started for it and in a zygote.
func TestSamePlace(t *testing.T) {
	both(t, "", "", func(t *testing.T, r *runtime.Runtime, _ string) {
		source := pythonPlace
		if r.Language == runtime.NodeJS {
			source = nodePlace
		}
		env := []string{"OWN=a=b", "EMPTY=", "PATH=/own/bin", "TZ=Asia/Tokyo", "TWO_LINES=a\nb", "UNICODE=h\u00e9"}
		first := probe(t, setup{runtime: r, env: env, way: cold}, source)
		for _, way := range early(r) {
			if diff := cmp.Diff(first, probe(t, setup{runtime: r, env: env, way: way}, source)); diff != "" {
				t.Errorf("(-cold +%s):\n%s", way, diff)
			}
		}
		for _, want := range []string{"Asia/Tokyo", "/own/bin", `a\nb`} {
			if !strings.Contains(first, want) {
				t.Errorf("no %q in %s", want, first)
			}
		}
	})
}

// TestFresh has two environments of one kind that share nothing of what must be anybody's own.
func TestFresh(t *testing.T) {
	both(t, "", "", func(t *testing.T, r *runtime.Runtime, _ string) {
		source := `
import os, random, secrets, tempfile, time, uuid

def handler(event, context):
    clocks = [time.time() > 1.6e9, 0 <= time.perf_counter(), time.monotonic() > 0, 0 <= time.process_time() < 60]
    assert all(clocks), clocks
    names = tempfile._get_candidate_names()
    return [random.random(), random.getrandbits(64), random.SystemRandom().random(), str(uuid.uuid4()), secrets.token_hex(8),
            os.urandom(8).hex(), next(names), random.sample(range(10**9), 3)]
`
		if r.Language == runtime.NodeJS {
			source = `
const crypto = require('crypto');
exports.handler = async () => {
  const behind = Math.abs(performance.timeOrigin + performance.now() - Date.now());
  if (behind > 1000 || process.uptime() < 0) throw new Error('the clocks disagree by ' + behind + ' ms');
  return [Math.random(), Math.random(), crypto.randomUUID(), crypto.randomBytes(8).toString('hex'), crypto.randomInt(2 ** 40),
    globalThis.crypto ? globalThis.crypto.getRandomValues(new Uint32Array(2)).join() : crypto.randomBytes(9).toString('hex')];
};
`
		}
		seen := map[string]bool{}
		for _, way := range slices.Concat(early(r), early(r), []way{cold, cold}) {
			answer := probe(t, setup{runtime: r, way: way}, source)
			for value := range strings.SplitSeq(strings.Trim(answer, "[]"), ",") {
				if seen[value] {
					t.Errorf("two environments have drawn %s", value)
				}
				seen[value] = true
			}
		}
	})
}

// TestReadAtStart sets variables that change what an interpreter does. A function that sets one has the same results
// whether or not a zygote may serve it.
func TestReadAtStart(t *testing.T) {
	for _, test := range []struct {
		id, variable, value string
		show                string // an expression
		want                string
		// zygote says that a process that runs already heeds it too.
		zygote bool
	}{
		{"python3.11", "PYTHONHASHSEED", "1", `[hash("a") == hash("a"), __import__("sys").flags.hash_randomization]`, "[true, 1]", false},
		{"python3.11", "PYTHONUTF8", "1", `__import__("sys").flags.utf8_mode`, "1", false},
		{"python3.11", "PYTHONOPTIMIZE", "2", `__import__("sys").flags.optimize`, "2", false},
		{"python3.11", "PYTHONWARNINGS", "error", `__import__("sys").warnoptions`, `["error"]`, false},
		{"python3.11", "PYTHONDEVMODE", "1", `__import__("sys").flags.dev_mode`, "true", false},
		{"python3.11", "PYTHONIOENCODING", "latin-1", `__import__("sys").stdin.encoding`, `"iso8859-1"`, false},
		{"python3.11", "PYTHONMALLOC", "debug", `len(__import__("os").environ["PYTHONMALLOC"])`, "5", false},
		{"python3.11", "LC_ALL", "C", `__import__("locale").setlocale(0)`, `"C"`, false},
		{"python3.11", "TZ", "America/New_York", `__import__("time").tzname`, `["EST", "EDT"]`, true},
		{"python3.11", "TMPDIR", "/var/tmp", `__import__("tempfile").gettempdir()`, `"/var/tmp"`, true},
		{"python3.11", "HOME", "/own", `__import__("os").path.expanduser("~")`, `"/own"`, true},
		{"python3.11", "AWS_LAMBDA_LOG_LEVEL", "ERROR", `__import__("logging").getLogger().level`, "40", true},
		{"nodejs20.x", "NODE_OPTIONS", "--stack-trace-limit=3", `Error.stackTraceLimit`, "3", false},
		{"nodejs20.x", "NODE_NO_WARNINGS", "1", `process.emitWarning('x') === undefined`, "true", false},
		{"nodejs20.x", "NODE_PENDING_DEPRECATION", "1", `require('util').inspect(process.env.NODE_PENDING_DEPRECATION)`, `"'1'"`, false},
		{"nodejs20.x", "UV_THREADPOOL_SIZE", "2", `process.env.UV_THREADPOOL_SIZE`, `"2"`, false},
		{"nodejs20.x", "TZ", "America/New_York", `new Date(0).getHours()`, "19", true},
		{"nodejs20.x", "TMPDIR", "/var/tmp", `require('os').tmpdir()`, `"/var/tmp"`, true},
		{"nodejs20.x", "HOME", "/own", `require('os').homedir()`, `"/own"`, true},
		{"nodejs20.x", "NO_COLOR", "1", `process.env.NO_COLOR`, `"1"`, true},
		{"nodejs20.x", "AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA", "1", `typeof awslambda`, `"undefined"`, true},
	} {
		t.Run(test.id+"/"+test.variable, func(t *testing.T) {
			t.Parallel()
			if got := !runtime.ReadAtStart(test.variable); got != test.zygote {
				t.Fatalf("a zygote may serve it: %t, want %t", got, test.zygote)
			}
			source := "def handler(event, context):\n    return " + test.show + "\n"
			if strings.HasPrefix(test.id, "nodejs") {
				source = "exports.handler = async () => " + test.show + ";\n"
			}
			s := setup{runtime: resolve(t, test.id), env: []string{test.variable + "=" + test.value}, way: cold}
			if got := probe(t, s, source); got != test.want {
				t.Errorf("cold: %s, want %s", got, test.want)
			}
			for _, s.way = range early(s.runtime) {
				if !test.zygote {
					break
				}
				if got := probe(t, s, source); got != test.want {
					t.Errorf("%s: %s, want %s", s.way, got, test.want)
				}
			}
		})
	}
	for _, name := range []string{"LD_PRELOAD", "LD_LIBRARY_PATH", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "LANG", "LC_CTYPE", "PYTHONPATH",
		"NODE_EXTRA_CA_CERTS", "NODE_PATH", "OPENSSL_CONF", "SSL_CERT_FILE", "ICU_DATA", "GCONV_PATH", "AWS_LAMBDA_EXEC_WRAPPER"} {
		if !runtime.ReadAtStart(name) {
			t.Errorf("%s: a zygote cannot serve it", name)
		}
	}
}
