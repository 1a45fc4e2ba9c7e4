"""What a process does that is started before its function is known, while it waits: it imports what most functions will, and
rehearses a cold start."""

import os
import sys
from importlib.machinery import SourceFileLoader

_loaded = frozenset()


def load(bootstrap):
    """Imports and rehearses. bootstrap is the bootstrap's module."""
    global _loaded
    before = set(sys.modules)
    import logging, random, traceback  # noqa: E401,F401
    import hotaru_logging  # noqa: F401

    _loaded = frozenset(sys.modules) - before
    rehearse(bootstrap)


def rehearse(bootstrap):
    """Does what a cold start will do first, often enough for the interpreter to have specialized its bytecode, and to know
    where to look for modules. It leaves nothing else behind."""
    bootstrap._known = frozenset("{}={}".format(*item) for item in os.environ.items())
    source = SourceFileLoader("hotaru_nothing", "/hotaru_nothing.py")
    for _ in range(12):
        bootstrap.set_variables([*bootstrap._known, "_X_AMZN_TRACE_ID="])
        bootstrap.read_place()
        bootstrap.look_again(bootstrap.set_search_path())
        forget(())
        sys.meta_path[-1].find_spec("hotaru_nothing")
        try:
            source.get_code("hotaru_nothing")
        except OSError:
            pass  # there is no such file
        compile("def handler(event, context):\n    return {'a': event}\n", "app.py", "exec")
        head = {"id": "0", "deadline": 0, "trace": ""}
        bootstrap.handle(lambda event, context: event, head, b'{"a": [1, 2.5, "x", null, true]}')
        bootstrap.flush()
        del os.environ["_X_AMZN_TRACE_ID"]
    bootstrap._request_id = ""


def forget(roots):
    """Forgets what was imported ahead if the function ships a module of that name, so that it gets its own.

    The directories are listed: to have each module looked for there takes ten times as long.
    """
    shipped = set()
    for root in roots:
        try:
            shipped.update(entry.partition(".")[0] for entry in os.listdir(root))
        except OSError:  # most functions have no layers
            pass
    if not shipped.isdisjoint(_loaded):
        for name in _loaded:
            sys.modules.pop(name, None)
