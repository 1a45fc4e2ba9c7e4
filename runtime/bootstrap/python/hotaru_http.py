"""The conversation over Lambda's HTTP Runtime API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), for
where descriptor 3 is not the daemon's: imported when it is needed. A function sees no difference."""

import os
import socket
from _thread import RLock

RUNTIME = "/2018-06-01/runtime/"
FIELDS = {
    "lambda-runtime-aws-request-id": "id",
    "lambda-runtime-invoked-function-arn": "arn",
    "lambda-runtime-trace-id": "trace",
    "lambda-runtime-client-context": "client",
    "lambda-runtime-cognito-identity": "identity",
    "lambda-runtime-aws-tenant-id": "tenant",
    "lambda-runtime-deadline-ms": "deadline",
}


class RuntimeAPI:
    """The same conversation as Frames, with a server at address (host:port)."""

    def __init__(self, address):
        self._address = address
        host, _, port = address.rpartition(":")
        try:
            self._socket = socket.create_connection((host.strip("[]"), int(port)))
        except ConnectionError:
            os._exit(0)
        self._file = self._socket.makefile("rb", 64 * 1024)
        # Functions may close standard output; what the runtime has to say goes there all the same.
        self._out = os.dup(1)
        self.unfinished = False  # the last line that the function has printed has no end yet
        self._new_lock()
        os.register_at_fork(after_in_child=self._new_lock)

    def _new_lock(self):
        self._lock = RLock()

    def start(self, _meanwhile):
        return os.environ["_HANDLER"], ()

    def ready(self):
        pass  # asking for an event says so

    def next(self):
        status, fields, body = self._call("GET", "invocation/next")
        if status != 200:
            os._exit(1)
        head = {FIELDS[name]: value for name, value in fields.items() if name in FIELDS}
        head["deadline"] = int(head["deadline"])
        return head, body

    def respond(self, head, content_type, payload):
        self._call("POST", "invocation/{}/response".format(head["id"]), payload, content_type, b"")

    def fail(self, head, kind, payload):
        self._call("POST", "invocation/{}/error".format(head["id"]), payload, b"application/json", kind)

    def fail_init(self, kind, payload):
        self._call("POST", "init/error", payload, b"application/json", kind)

    def log(self, record):
        """Prints one log record as one line: without frames, a carriage return is what ends a line inside it."""
        line = record[:-1] if record.endswith(b"\n") else record
        with self._lock:
            rest = memoryview((b"\n" if self.unfinished else b"") + line.replace(b"\n", b"\r") + b"\n")
            self.unfinished = False
            while rest:
                rest = rest[os.write(self._out, rest) :]

    def _call(self, method, path, body=None, content_type=b"", kind=b""):
        """Makes one request and returns the answer's status, fields and body."""
        lines = ["{} {}{} HTTP/1.1".format(method, RUNTIME, path).encode(), b"Host: " + self._address.encode()]
        if body is not None:
            lines += [b"Content-Length: %d" % len(body), b"Content-Type: " + content_type]
        if kind and all(byte >= 32 and byte != 127 for byte in kind):  # else the body says it alone
            lines.append(b"Lambda-Runtime-Function-Error-Type: " + kind)
        try:
            self._socket.sendall(b"\r\n".join(lines + [b"", body or b""]))
            return self._answer()
        except (ConnectionError, ValueError):
            # The daemon has let go of this environment: there is nobody to tell.
            os._exit(0)

    def _answer(self):
        status = int((self._line().split(b" ") + [b""])[1])
        fields = {}
        while True:
            line = self._line()
            if not line:
                break
            name, _, value = line.partition(b":")
            fields[name.decode("latin-1").lower()] = value.strip().decode("utf-8", "replace")
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return status, fields, self._chunks()
        return status, fields, self._file.read(int(fields.get("content-length", 0)))

    def _chunks(self):
        chunks = []
        while True:
            size = int(self._line().partition(b";")[0], 16)
            if size == 0:
                while self._line():
                    pass
                return b"".join(chunks)
            chunks.append(self._file.read(size))
            self._line()

    def _line(self):
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("closed")
        return line.rstrip(b"\r\n")
