"""Hotaru's Python bootstrap: loads a function's handler and answers its events.

It talks to the daemon in frames over descriptor 3, or over the HTTP Runtime API where that descriptor is not there. It
behaves as Lambda's own runtime does, down to the words of its errors. It runs on Python 3.8 and newer, and
imports only what every start needs: the rest is imported when something asks for it, or while a process that
knows no function yet is waiting for one.
"""

import io
import json
import os
import stat
import sys
import time
from importlib import import_module

from hotaru_context import ContextError, LambdaContext, read_place
from hotaru_frames import FD, Frames

ENOTSUP = 95
NO_BREAK_SPACE = "\u00a0"


class Fault(Exception):
    """A failure that Lambda's runtime names itself."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.trace = trace


# -- the daemon ---------------------------------------------------------------------------------------------

_daemon = None


def is_socket(fd):
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def connect():
    """Opens the conversation with the daemon: in frames, if descriptor 3 leads to it, else over HTTP. A process that is to
    be a template, which descriptor 4 leads to, becomes that first: its copies return from it."""
    global _daemon
    framed = is_socket(FD)
    if not framed and is_socket(FD + 1):
        _daemon = Frames()
        be_template()
        framed = True
    if framed or "AWS_LAMBDA_RUNTIME_API" not in os.environ:
        _daemon = _daemon or Frames()
        _daemon.open()
        return
    from hotaru_http import RuntimeAPI

    _daemon = RuntimeAPI(os.environ["AWS_LAMBDA_RUNTIME_API"])


def be_template():
    prepare()
    wait()
    loaded = set(sys.modules)
    try:
        import hotaru_template
    except Exception as e:  # an interpreter without ctypes, or one whose C library lacks something
        text = str(e).encode("ascii", "replace")[:127]
        os.write(FD + 1, bytes((1, 1, 1, ENOTSUP, len(text))) + text)  # hotaru_template.message
        os._exit(1)
    _forgotten.extend(hotaru_template.serve(loaded))


_forgotten = []


def log(text):
    """Writes one log record."""
    _daemon.log(text.encode("utf-8", "replace") if isinstance(text, str) else text)


def tag(kind):
    """The bytes of an error's type, 255 at most."""
    return kind.encode("utf-8", "replace")[:255].decode("utf-8", "ignore").encode("utf-8")


# -- JSON as Lambda's runtime reads and writes it -------------------------------------------------------------


def from_json(payload):
    """Decodes an event as json.loads does, but without all that it does about rarer texts where there is none."""
    try:
        text = str(payload, "utf-8")
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except Exception:  # what is wrong with it is for json.loads to say
        pass
    return json.loads(bytes(payload))


def to_json(value):
    """Encodes a value. Decimals keep their digits, bytes are text, named tuples become objects."""
    if _is_special(value):
        import hotaru_json

        value = hotaru_json.plain(value)
    try:
        return _encode(value)
    except TypeError as e:
        if not str(e).startswith("keys must be"):
            raise
    import hotaru_json

    return _encode(hotaru_json.with_text_keys(value))


def _encode(value):
    try:
        return _encode_text(value).encode("utf-8")
    except FoundDecimal:
        import hotaru_json

        return hotaru_json.encode_decimals(value, _default, FoundDecimal, _ascii)


def _encode_text(value):
    """What _encoder.encode answers, from the part of it that is written in C and made once."""
    global _encode_parts
    if _encode_parts is None:
        _encode_parts = _make_encode_parts()
    try:
        return "".join(_encode_parts(value, 0))
    except BaseException:
        _encode_parts = None  # it remembers where it was, to notice what contains itself
        raise


def _make_encode_parts():
    make, text = json.encoder.c_make_encoder, json.encoder.encode_basestring_ascii if _ascii else json.encoder.encode_basestring
    if make is None:  # an interpreter without it
        return lambda value, _: (_encoder.encode(value),)
    return make({}, _default, text, None, ": ", ", ", False, False, True)


_encode_parts = None


class FoundDecimal(Exception):
    """What only the slow encoder can write is in a value."""


def _default(value):
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if type(value).__name__ == "Decimal" and type(value).__module__ == "decimal":
        raise FoundDecimal
    raise TypeError("Object of type {} is not JSON serializable".format(type(value).__name__))


def _is_special(value):
    """Says whether a named tuple is anywhere in value; anything endless is the encoder's to refuse."""
    seen = set()
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            items = item.values()
        elif isinstance(item, (list, tuple)):
            if isinstance(item, tuple) and hasattr(item, "_asdict"):
                return True
            items = item
        else:
            continue
        if id(item) not in seen:
            seen.add(id(item))
            todo.extend(i for i in items if isinstance(i, (dict, list, tuple)))
    return False


# Lambda writes non-ASCII text as it is from Python 3.12 on, and escaped before.
_ascii = sys.version_info < (3, 12)
_encoder = json.JSONEncoder(default=_default, ensure_ascii=_ascii)
_scan = json.JSONDecoder().scan_once


# -- errors -------------------------------------------------------------------------------------------------


def fault_body(error, request_id):
    """The body of an error that was raised, without this file's own frames on top of its trace."""
    if isinstance(error, Fault):
        return _error_body(str(error), error.kind, error.trace or [], request_id)
    import traceback

    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(error.__traceback__)]
    while len(frames) > 1 and frames[0][0] == __file_name__:
        del frames[0]
    try:
        message = str(error)
    except Exception:  # a __str__ of the function's own that fails
        message = ""
    return _error_body(message, type(error).__name__, traceback.format_list(frames), request_id)


def _error_body(message, kind, trace, request_id):
    if sys.version_info < (3, 9):
        # Lambda's Python 3.8 runtime has no request ID in its errors.
        return {"errorMessage": message, "errorType": kind, "stackTrace": trace}
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def error_json(body):
    """Encodes an error, even one whose message is no proper text."""
    try:
        return to_json(body)
    except UnicodeEncodeError:
        return json.dumps(body).encode("utf-8")


def log_error(body):
    """Writes an error to the log the way Lambda's runtime does."""
    if _json_logs():
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        log(error_json(dict({"timestamp": now, "level": "ERROR"}, **body)) + b"\n")
        return
    lines = ["[ERROR] {}: {}".format(body["errorType"], body["errorMessage"]) if body["errorMessage"]
             else "[ERROR] {}".format(body["errorType"])]
    lines.append("Traceback (most recent call last):")
    for element in body["stackTrace"]:
        for line in element.splitlines():
            text = line.lstrip(" ")
            lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    log("\n".join(lines))


def _json_logs():
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


__file_name__ = fault_body.__code__.co_filename


# -- logging ------------------------------------------------------------------------------------------------

_request_id = ""
_tenant_id = None


class _LoggingFinder:
    """Sets the logging module up when the function imports it, so that those that do not pay nothing."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(_LoggingFinder)
        from importlib.util import find_spec

        spec = find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            set_up_logging()

        spec.loader = _Loader(spec.loader, exec_module)
        return spec


class _Loader:
    def __init__(self, loader, exec_module):
        self.__loader = loader
        self.exec_module = exec_module

    def __getattr__(self, name):
        return getattr(self.__loader, name)

    def create_module(self, spec):
        return None


def set_up_logging():
    import hotaru_logging

    hotaru_logging.set_up()


# -- the function -------------------------------------------------------------------------------------------


def load(handler):
    """Imports the handler's module and returns its function."""
    module_name, dot, name = handler.rpartition(".")
    if not dot:
        raise Fault(
            "Runtime.MalformedHandlerName",
            "Bad handler '{}': not enough values to unpack (expected 2, got 1)".format(handler),
        )
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module {} as a handler module".format(module_name),
        )
    try:
        module = import_module(module_name.replace("/", "."))
    except ImportError as e:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '{}': {}".format(module_name, e))
    except SyntaxError as e:
        raise Fault(
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module '{}': {}".format(module_name, e),
            ['  File "{}" Line {}\n    {}'.format(e.filename, e.lineno, e.text)],
        )
    try:
        return getattr(module, name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '{}' missing on module '{}'".format(name, module_name))


def handle(handler, head, payload):
    """Runs the handler on one event and returns its answer: what sends it, its type and its payload."""
    global _request_id, _tenant_id
    request_id = _request_id = head.get("id", "")
    _tenant_id = head.get("tenant")
    if "trace" in head:
        os.environ["_X_AMZN_TRACE_ID"] = head["trace"]
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        try:
            context = LambdaContext(head, log)
        except ContextError as e:
            raise Fault("Runtime.LambdaContextUnmarshalError", str(e))
        try:
            event = from_json(payload)
        except ValueError as e:
            raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: {}".format(e))
        result = handler(event, context)
        if isinstance(result, bytes):
            return _daemon.respond, b"application/unknown", result
        try:
            return _daemon.respond, b"application/json", to_json(result)
        except Exception as e:
            raise Fault("Runtime.MarshalError", "Unable to marshal response: {}".format(e))
    except Exception as e:
        body = fault_body(e, request_id)
        log_error(body)
        return _daemon.fail, tag(body["errorType"]), error_json(body)


def flush():
    """Brings out what the function has printed, before its answer."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the function has closed or replaced it
            pass


# -- the process --------------------------------------------------------------------------------------------


def prepare():
    """Does what a function may rely on of Python's site module, which -S leaves out because it is slow. Once."""
    if _printed:
        return
    import site

    site.setquit()
    site.setcopyright()
    site.sethelper()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        printed = Printed(stream.buffer, stream.encoding, stream.errors, write_through=True)
        _printed.append(printed)
        setattr(sys, name, printed)


class Printed(io.TextIOWrapper):
    """Standard output that keeps nothing back: what is printed is in the log whatever happens next."""

    def write(self, text):
        n = super().write(text)
        self.flush()
        _daemon.unfinished = not text.endswith("\n")
        return n


_printed = []  # a stream that nothing refers to closes what it prints to


def wait():
    """Uses the time of a process that is started before its function is known."""
    global _ahead
    if _ahead is None:
        import hotaru_ahead as _ahead

        _ahead.load(sys.modules[__name__])


_ahead = None


def begin(variables):
    """Becomes the function's process: its environment, its place, its randomness."""
    zone = os.environ.get("TZ")
    set_variables(variables)
    if os.environ.get("TZ") != zone:
        time.tzset()
    read_place()
    roots = set_search_path()
    look_again(roots)
    try:
        os.chdir(roots[0])
    except OSError:  # a function without code: its import says so better
        pass
    if _ahead:
        _ahead.forget(roots)
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "logging" in sys.modules:
        set_up_logging()
    else:
        sys.meta_path.insert(0, _LoggingFinder)


def set_variables(variables):
    """Sets environment variables, NAME=value."""
    for entry in variables:
        if entry not in _known:
            name, _, value = entry.partition("=")
            os.environ[name] = value


_known = frozenset()  # what the environment is known to have in it


def set_search_path():
    """Puts the module search path into Lambda's order: the function, its layers, the SDK, the interpreter. Returns the
    first two.

    The SDK is in the runtime's directory, beside this file. What else an interpreter of the host has installed is nothing of
    Lambda's; a base image's interpreter, whose bootstrap is elsewhere, keeps its packages.
    """
    layers = os.environ.get("HOTARU_LAYER_ROOT", "/opt") + "/python"
    roots = [
        os.environ.get("LAMBDA_TASK_ROOT", "/var/task"),
        "{}/lib/python{}.{}/site-packages".format(layers, *sys.version_info),
        layers,
    ]
    if sys.path[:3] == roots:
        return roots
    path = roots + [p for p in sys.path if p not in roots]
    if os.path.dirname(os.path.abspath(__file__)) != os.environ.get("LAMBDA_RUNTIME_DIR"):
        import site

        path += [p for p in site.getsitepackages([sys.prefix]) if p not in path and os.path.isdir(p)]
    sys.path[:] = path
    return roots


def look_again(roots):
    """Forgets what was in directories, or that they were not there."""
    known = sys.path_importer_cache
    for root in roots:
        if known.get(root):
            known[root].invalidate_caches()
        else:
            known.pop(root, None)


def main():
    connect()
    prepare()
    handler_name, variables = _daemon.start(wait if _ahead is None else None)
    begin(variables)
    try:
        handler = load(handler_name)
    except Exception as e:
        body = fault_body(e, "")
        log_error(body)
        flush()
        _daemon.fail_init(tag(body["errorType"]), error_json(body))
        sys.exit(1)
    flush()
    _daemon.ready()
    while True:
        head, payload = _daemon.next()
        send, kind, result = handle(handler, head, payload)
        payload = None
        flush()
        send(head, kind, result)
        send = result = None


if __name__ == "__main__":
    main()
