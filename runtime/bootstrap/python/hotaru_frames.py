"""The conversation with the daemon in frames over descriptor 3, which the runtimeapi package describes."""

import json
import os
from _thread import RLock

FD = 3
RESPONSE, ERROR, INIT_ERROR, LOG = 17, 18, 19, 20
READY = b"\0\0\0\0\x10"
MAX_LOG_RECORD = 256 * 1024
# A frame up to here is copied into one piece, which costs less than to have the kernel gather it.
SMALL = 16 * 1024

# json.loads without what it does about text that may be anything: the daemon's is JSON and nothing else.
_scan = json.JSONDecoder().scan_once


class Frames:
    """One conversation. Only log may be called by other threads than the one that runs the handler."""

    def __init__(self):
        self.unfinished = False  # as RuntimeAPI's; frames do not need it
        self._inbox = bytearray(64 * 1024)
        self._view = memoryview(self._inbox)
        self._views = [self._view]
        self._new_lock()
        # A forked child must not wait for a lock that a thread of its parent holds.
        os.register_at_fork(after_in_child=self._new_lock)

    def _new_lock(self):
        self._lock = RLock()

    def open(self):
        """Begins, once the descriptor is there."""
        os.set_inheritable(FD, False)

    def start(self, meanwhile):
        """Returns the handler's name and the environment variables, once the daemon says them. If it does not at
        once, meanwhile is called before waiting, if there is one."""
        got = 0
        if meanwhile:
            os.set_blocking(FD, False)
            try:
                got = self._read_into(self._view)
            except BlockingIOError:
                pass
            os.set_blocking(FD, True)
            if not got:
                meanwhile()
        start = _scan(str(self._receive(got), "utf-8"), 0)[0]
        return start["handler"], start["env"]

    def ready(self):
        """Asks for the first event: Init is over."""
        self._send(READY)

    def next(self):
        """Waits for an event and returns its head and its payload, which is valid until the next call."""
        body = self._receive()
        end = 4 + int.from_bytes(body[:4], "big")
        return _scan(str(body[4:end], "utf-8"), 0)[0], body[end:]

    def respond(self, head, content_type, payload):
        """Answers an event and asks for the next."""
        self._answer(RESPONSE, head["number"], content_type, payload, READY)

    def fail(self, head, kind, payload):
        """Answers an event with an error and asks for the next."""
        self._answer(ERROR, head["number"], kind, payload, READY)

    def fail_init(self, kind, payload):
        """Reports that the function cannot be served."""
        self._answer(INIT_ERROR, 0, kind, payload, b"")

    def log(self, record):
        """Sends one log record, in pieces if it is longer than a record may be."""
        for begin in range(0, len(record) or 1, MAX_LOG_RECORD):
            piece = record[begin : begin + MAX_LOG_RECORD]
            self._send(len(piece).to_bytes(4, "big") + bytes((LOG,)), piece)

    def _receive(self, got=0):
        """Returns the body of the next frame, got bytes of which are read. It is valid until the next call.

        The daemon sends a Start and then an Event after each Ready, so that nothing ever follows the frame.
        """
        if not got:
            got = self._read_into(self._view, self._views)
        while got < 5:
            got += self._read_into(self._view[got:])
        length = int.from_bytes(self._view[:4], "big")
        if length + 5 <= len(self._inbox):
            while got < length + 5:
                got += self._read_into(self._view[got:])
            return self._view[5 : length + 5]
        view = memoryview(bytearray(length))
        have = got - 5
        view[:have] = self._view[5:got]
        while have < length:
            have += self._read_into(view[have:])
        return view

    def _read_into(self, view, views=None):
        try:
            n = os.readv(FD, views or [view])
        except ConnectionError:
            n = 0
        if n == 0:
            # The daemon has let go of this environment: there is nobody to tell.
            os._exit(0)
        return n

    def _answer(self, kind, number, tag, payload, after):
        """Sends a Response, Error or InitError frame and what comes after it. tag is bytes, 255 at most."""
        size = 5 + len(tag) + len(payload)
        head = size.to_bytes(4, "big") + bytes((kind,)) + number.to_bytes(4, "big") + bytes((len(tag),)) + tag
        if size <= SMALL:
            self._send(head + payload + after)
        else:
            self._send(head, payload, after)

    def _send(self, *parts):
        """Writes frames that are given in parts, all of them, and nothing of another thread's in between."""
        size = sum(map(len, parts))
        with self._lock:
            done = os.write(FD, parts[0]) if len(parts) == 1 else os.writev(FD, parts)
            if done < size:
                rest = memoryview(b"".join(parts))
                while done < size:
                    done += os.write(FD, rest[done:])
