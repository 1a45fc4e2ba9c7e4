import os, select, socket, struct, handler as names


def connect(n):
    """Opens connections that say nothing, and counts those that are not closed at once."""
    held = [socket.create_connection(("127.0.0.1", 443)) for _ in range(n)]
    waiting = select.poll()
    for s in held:
        waiting.register(s, select.POLLIN)
    closed = 0
    while ended := waiting.poll(1000):
        for fd, _ in ended:
            waiting.unregister(fd)
            closed += 1
    return held, n - closed


def flood(n):
    """Asks for names and reads no answer."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for i in range(n):
        s.sendto(struct.pack("!6H", i % 65536, 0x100, 1, 0, 0, 0) + b"\3foo\3com\0\0\1\0\1", ("127.0.0.1", 53))


def handler(event, context):
    if event.get("greedy"):
        flood(5000)
        held, still = connect(900)
        read, write = os.pipe()
        if os.fork() == 0:  # a process may have 1,024 files, so it takes two
            for s in held:
                s.close()
            _, more = connect(900)
            os.write(write, b"%d" % more)
            os._exit(0)
        still += int(os.read(read, 10))
        os.wait()
        for s in held:
            s.close()
        return still
    return [names.resolve("sts.amazonaws.com"), names.who("https://sts.amazonaws.com/")[0]]
