import asyncio, concurrent.futures, ctypes, hashlib, json, os, select, shutil, signal, socket, sqlite3, ssl, subprocess, sys, tempfile, threading, time, urllib.request, zlib

assert subprocess.run(["/bin/sh", "-c", "echo child"], capture_output=True, check=True).stdout == b"child\n"
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(lambda n: n * n, range(100))) == 328350
with tempfile.TemporaryDirectory() as d:
    db = sqlite3.connect(os.path.join(d, "x.db"))
    db.execute("pragma journal_mode=wal")
    db.execute("create table t (n)")
    db.executemany("insert into t values (?)", [(n,) for n in range(100)])
    db.commit()
    assert db.execute("select count(*) from t").fetchone() == (100,)
    db.close()
    shutil.copyfile("/usr/bin/env", os.path.join(d, "copy"))


async def echo():
    async def serve(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"around\n")
    assert await reader.readline() == b"around\n"
    writer.close()
    server.close()
    process = await asyncio.create_subprocess_exec("/bin/true")
    assert await process.wait() == 0


asyncio.run(echo())
ssl.create_default_context()
pid = os.fork()
if pid == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
hit = []
signal.signal(signal.SIGALRM, lambda *_: hit.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01)
signal.pause()
assert hit
assert ctypes.CDLL(None).getpid() == os.getpid()
os.sched_getaffinity(0), os.getloadavg(), os.times(), os.uname(), os.statvfs("/tmp"), time.clock_gettime(time.CLOCK_BOOTTIME)
try:
    # As on Lambda: there is no /dev/shm.
    import multiprocessing
    multiprocessing.Queue()
except OSError:
    pass
else:
    raise SystemExit("multiprocessing.Queue works, unlike on Lambda")
parent, child = multiprocessing.Pipe()
process = multiprocessing.Process(target=lambda: child.send("piped"))
process.start()
assert parent.recv() == "piped"
process.join()
print("all is well")
