import errno, socket, urllib.error, urllib.request


def name(e):
    if isinstance(e, socket.gaierror):
        return "no such name" if e.errno == socket.EAI_NONAME else "EAI %d" % e.errno
    return errno.errorcode.get(getattr(e, "errno", None), type(e).__name__)


def fetch(url):
    try:
        return urllib.request.urlopen(url, timeout=8).read().decode()
    except urllib.error.HTTPError as e:
        return e.code
    except urllib.error.URLError as e:
        return name(e.reason)
    except OSError as e:
        return name(e)


def attempt(code, scope):
    """Runs a line that must fail, and says with what."""
    try:
        exec(code, scope)
        return "works"
    except Exception as e:
        return name(e)


def handler(event, context):
    scope = {"socket": socket}
    return {**{url: fetch(url) for url in event["urls"] or []},
            **{code: attempt(code, scope) for code in event["code"] or []}}
