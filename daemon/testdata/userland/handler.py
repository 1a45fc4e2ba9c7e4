import ctypes, locale, os, ssl, sys, time
import ujson  # C++ of a manylinux wheel, which brings no libstdc++ of its own


def handler(event, context):
    with open("/proc/self/maps") as maps:
        mapped = maps.read()
    answer = {
        "event": ujson.loads(ujson.dumps(event)),
        "libstdc++": "/libstdc++.so.6" in mapped,
        "own library": [line.split()[-1] for line in mapped.splitlines() if "/ujson" in line][0].startswith("/var/task/"),
        "zone": time.strftime("%Z %H:%M", time.localtime(1720000000)),
        "authorities": len(ssl.create_default_context().get_ca_certs()) > 10,
        "encodings": [sys.getfilesystemencoding(), sys.stdout.encoding, locale.getpreferredencoding(False).lower()],
        "setlocale": locale.setlocale(locale.LC_ALL, "").lower().endswith("utf-8"),
        "letters": ctypes.CDLL(None).mbstowcs(None, "été".encode(), 0),
        "zygote": "LC_ALL" not in os.environ,
    }
    if sys.version_info >= (3, 9):
        import datetime, zoneinfo
        answer["zoneinfo"] = str(datetime.datetime.fromtimestamp(1720000000, zoneinfo.ZoneInfo("Asia/Tokyo")))
    return answer
