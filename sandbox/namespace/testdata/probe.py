# Runs each probe of the JSON list in given in a child of its own and prints, as JSON, what each said.
# A probe is Python that calls say(); "errno ENOENT" is what it said if it raised an OSError.
import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import stat
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
given = json.loads(given)
SYS, HOST = given["calls"], given["host"]


def call(name, *args):
    """Make a system call by name or number; the result, or the errno's name."""
    number = SYS[name] if isinstance(name, str) else name
    libc.syscall.restype = ctypes.c_long
    converted = [a if isinstance(a, (bytes, ctypes.Array, ctypes.Structure)) or a is None else ctypes.c_long(a) for a in args]
    result = libc.syscall(ctypes.c_long(number), *converted)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def machine(code):
    """Run machine code that returns a number."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()


def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as s:
        s.settimeout(2)
        s.connect(address)
    return "connected"


def write(path, content=b"x"):
    with open(path, "wb", buffering=0) as f:
        return f.write(content)


def read(path):
    with open(path, "rb") as f:
        return f.read(1 << 16)


def run(code):
    said = []

    def say(value):
        said.append(str(value))

    try:
        exec(code, dict(globals(), say=say))
    except OSError as e:
        said.append("errno " + errno.errorcode.get(e.errno, repr(e)))
    except BaseException as e:
        said.append(repr(e))
    return " ".join(said)


def apart(code):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        os.write(w, run(code).encode()[:4000])
        os._exit(0)
    os.close(w)
    said = b""
    while piece := os.read(r, 4096):
        said += piece
    os.close(r)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return "signal " + signal.Signals(os.WTERMSIG(status)).name
    return said.decode()


print(json.dumps([apart(code) for code in given["probes"]]))
