"""What makes a process a template: one that has everything loaded, knows no function, and makes copies of itself which
become environments' processes. The sandbox package's Templater and the messages of its namespace/wire say what is asked.

A copy is confined by the system calls that it is told, which are those that a started process has made for it. They are
made through ctypes, which no copy keeps.
"""

import _signal
import _socket
import ctypes
import gc
import os
import sys

CONTROL = 4
VERSION, REPLY, FORK, FORKED = 1, 1, 2, 3  # of the wire package
NUMBER, DESCRIPTOR, DATA, PROGRAM = range(4)  # its kinds of arguments
MAX_REQUEST, MAX_FDS = 128 * 1024, 128
# These calls have the same numbers on every architecture.
CLONE3, CLOSE_RANGE = 435, 436
CLONE_INTO_CGROUP = 0x200000000
SIGCHLD, ENOTSUP, EIO = 17, 95, 5

_calls = ctypes.PyDLL(None, use_errno=True)  # which never gives the interpreter's lock away
_calls.syscall.restype = ctypes.c_long


class Failed(Exception):
    """A step that failed: its name and the error number."""

    def __init__(self, stage, errno):
        super().__init__(stage, errno)
        self.stage, self.errno = stage, errno


# -- messages -----------------------------------------------------------------------------------------------


class Reader:
    """Reads the fields of a message. What is none ends in an exception, and with it the template."""

    def __init__(self, data):
        self._data, self._at = data, 0

    def byte(self):
        self._at += 1
        return self._data[self._at - 1]

    def number(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def bytes(self):
        length = self.number()
        self._at += length
        if self._at > len(self._data):
            raise ValueError("short")
        return self._data[self._at - length : self._at]

    def text(self):
        return self.bytes().decode("utf-8", "surrogateescape")

    def rest(self):
        return self._data[self._at :]


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(kind, number, *fields):
    """Encodes a message: fields are numbers and text."""
    out = bytes((VERSION, kind)) + varint(number)
    for field in fields:
        if isinstance(field, int):
            out += varint(field)
        else:
            text = field.encode("utf-8", "surrogateescape")[:1024]
            out += varint(len(text)) + text
    return out


class SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


class Step:
    """One system call."""

    def __init__(self, reader):
        self.name = reader.text()
        self._args = [ctypes.c_long(reader.number())]
        self._passed = []  # which of them are descriptors: place and index
        for place in range(1, reader.number() + 1):
            kind = reader.byte()
            if kind == NUMBER:
                self._args.append(ctypes.c_long(reader.number()))
            elif kind == DESCRIPTOR:
                self._passed.append((place, reader.number()))
                self._args.append(None)
            elif kind == DATA:
                self._args.append(ctypes.create_string_buffer(reader.bytes()))
            elif kind == PROGRAM:
                code = reader.bytes()
                self._args.append(ctypes.pointer(SockFprog(len(code) // 8, code)))
            else:
                raise ValueError("argument")
        # What is not there must be zero, not whatever the register holds.
        self._args += [ctypes.c_long(0)] * (7 - len(self._args))
        self._tolerated = [reader.number() for _ in range(reader.number())]

    def run(self, descriptors):
        args = self._args
        for place, index in self._passed:
            args[place] = ctypes.c_long(descriptors[index])
        if _calls.syscall(*args) == -1 and ctypes.get_errno() not in self._tolerated:
            raise Failed(self.name, ctypes.get_errno())


class Fork:
    """What a copy is to be."""

    def __init__(self, fields):
        reader = Reader(fields)
        self.has_cgroup, self.has_stdout, self.has_stderr = (reader.byte() == 1 for _ in range(3))
        self.files = reader.number()
        self.directory = reader.text()
        self.enter = [Step(reader) for _ in range(reader.number())]
        self.become = [Step(reader) for _ in range(reader.number())]
        if reader.rest():
            raise ValueError("long")


# -- copies -------------------------------------------------------------------------------------------------


def serve(loaded):
    """Makes copies of this process. It returns in each of them, and in the template itself never. loaded are the modules
    that copies keep. What it returns are the others, which nobody finds any more, and what it has used itself: to free that
    would write to memory that all copies share as long as nobody does."""
    _signal.signal(SIGCHLD, _signal.SIG_IGN)  # nobody waits for the first of a copy's forks
    forgotten = [sys.modules.pop(name) for name in set(sys.modules) - loaded]
    gc.collect()
    gc.disable()
    control = _socket.socket(fileno=CONTROL)
    inbox = memoryview(bytearray(MAX_REQUEST))
    known = {}  # requests are much alike
    control.send(message(REPLY, 1, 0, ""))
    while True:
        size, ancillary, _, _ = control.recvmsg_into([inbox], _socket.CMSG_SPACE(4 * MAX_FDS), _socket.MSG_CMSG_CLOEXEC)
        if not size:
            os._exit(0)  # the daemon is gone, or wants no more
        data = bytes(inbox[:size])
        descriptors = [int.from_bytes(fds[i : i + 4], sys.byteorder) for _, _, fds in ancillary for i in range(0, len(fds), 4)]
        reader = Reader(data)
        if (reader.byte(), reader.byte()) != (VERSION, FORK):
            raise ValueError("request")
        number, fields = reader.number(), reader.rest()
        fork = known.get(fields)
        if fork is None:
            if len(known) > 64:
                known.clear()
            fork = known[fields] = Fork(fields)
        try:
            child = clone(descriptors[1] if fork.has_cgroup else None)
        except OSError as e:
            report(descriptors[0], number, "fork", e.errno)
            child = None
        if child == 0:
            come_in(number, fork, descriptors)
            break
        for fd in descriptors:
            os.close(fd)
    control.detach()
    gc.enable()
    threading = sys.modules.get("threading")
    if threading is not None:
        threading.main_thread()._set_native_id()  # a fork leaves it the template's
    return [forgotten, known, fork, inbox, data, ancillary, descriptors, reader, fields]


def clone(cgroup=None):
    """Forks, with the child in a control group if there is one. C library and interpreter do not learn of it, which takes
    half as long: the child does not live long."""
    args = bytearray(88)  # struct clone_args
    args[32:40] = SIGCHLD.to_bytes(8, sys.byteorder)
    if cgroup is not None:
        args[0:8] = CLONE_INTO_CGROUP.to_bytes(8, sys.byteorder)
        args[80:88] = cgroup.to_bytes(8, sys.byteorder)
    pid = _calls.syscall(CLONE3, ctypes.c_char_p(bytes(args)), ctypes.c_long(len(args)))
    if pid == -1:
        raise OSError(ctypes.get_errno(), "clone3")
    return pid


def come_in(number, fork, descriptors):
    """Enters the sandbox and returns as a process of it."""
    told = descriptors[0]
    try:
        _signal.signal(SIGCHLD, _signal.SIG_DFL)
        for step in fork.enter:
            step.run(descriptors)
        alone, open_end = os.pipe()
        child = clone()
        if child:
            os.waitpid(child, 0)
            os._exit(0)
        if os.fork():  # the one that stays
            os._exit(0)
        os.close(open_end)
        for step in fork.become:
            step.run(descriptors)
        told = arrange(fork, descriptors, alone)
        os.chdir(fork.directory)
        os.write(told, message(FORKED, number, os.getpid(), 0, ""))
        os.close(told)
    except Failed as e:
        report(told, number, e.stage, e.errno)
        os._exit(1)
    except OSError as e:
        report(told, number, "copy", e.errno or EIO)
        os._exit(1)
    except BaseException as e:
        report(told, number, "copy: " + repr(e), EIO)
        os._exit(1)


def arrange(fork, descriptors, alone):
    """Puts descriptors where the process wants them, closes the others, and returns the one to report on."""
    os.read(alone, 1)  # ends when both that came in before have, so that stage-1 is this one's parent
    rest = iter(descriptors[2 if fork.has_cgroup else 1 :])
    null = os.open("/dev/null", os.O_RDWR)
    sources = [null, next(rest) if fork.has_stdout else null, next(rest) if fork.has_stderr else null]
    sources += [next(rest) for _ in range(fork.files)] + [descriptors[0]]
    if len(sources) > min(sources):
        raise Failed("descriptors", EIO)
    for target, source in enumerate(sources):
        os.dup2(source, target)
    if _calls.syscall(CLOSE_RANGE, ctypes.c_long(len(sources)), ctypes.c_long(2**31 - 1), ctypes.c_long(0)) == -1:
        raise Failed("close_range", ctypes.get_errno())
    return len(sources) - 1


def report(told, number, stage, errno):
    try:
        os.write(told, message(FORKED, number, 0, errno, stage))
    except OSError:
        pass  # nobody waits for it any more
