import datetime, hashlib, hmac, os, socket, ssl, time, urllib.error, urllib.request


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def who(endpoint):
    """Asks STS who this is, signed as SDKs do."""
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    now = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": endpoint.split("/")[2], "x-amz-date": now, "x-amz-security-token": os.environ["AWS_SESSION_TOKEN"],
               "content-type": "application/x-www-form-urlencoded"}
    names = ";".join(sorted(headers))
    canonical = "\n".join(["POST", "/", "", *[n + ":" + headers[n] for n in sorted(headers)], "", names,
                           hashlib.sha256(body).hexdigest()])
    scope = "/".join([now[:8], os.environ["AWS_REGION"], "sts", "aws4_request"])
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = sign(key, part)
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
        os.environ["AWS_ACCESS_KEY_ID"], scope, names, hmac.new(key, text.encode(), hashlib.sha256).hexdigest())
    request = urllib.request.Request(endpoint, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            text = response.read().decode()
            return [response.status, text[text.index("<Arn>") + 5:text.index("</Arn>")]]
    except urllib.error.HTTPError as e:
        return [e.code, e.read().decode()]


def resolve(name):
    try:
        return sorted({info[4][0] for info in socket.getaddrinfo(name, 443)})
    except socket.gaierror as e:
        return e.errno


def shake(name):
    """Shakes hands with whoever is at port 443, as a name; says how the certificate was taken."""
    try:
        with socket.create_connection(("127.0.0.1", 443), 5) as raw:
            with ssl.create_default_context().wrap_socket(raw, server_hostname=name) as conn:
                return [conn.version(), conn.getpeercert()["subjectAltName"][0][1]]
    except (OSError, ssl.SSLError) as e:
        return getattr(e, "reason", None) or e.strerror


def attempt(f, *args):
    try:
        return f(*args)
    except OSError as e:
        return type(e).__name__


def handler(event, context):
    started = time.monotonic()
    said = {
        "https": attempt(who, "https://sts.us-east-1.amazonaws.com/"),
        "http": attempt(who, "http://sts.us-east-1.amazonaws.com/"),
        "endpoint": attempt(who, os.environ["AWS_ENDPOINT_URL"] + "/"),
        "names": {name: resolve(name) for name in event["names"]},
        "host": resolve(socket.gethostname()),
        "backwards": socket.gethostbyaddr("127.0.0.1")[0],
        "aws": shake("Bucket.With.Dots.s3.eu-west-1.amazonaws.com"),
        "other": shake("example.com"),
        "public authorities": len(ssl.create_default_context().get_ca_certs()) > 10,
        "variables": sorted(name for name in os.environ if "CERT" in name or "BUNDLE" in name),
    }
    said["fast"] = time.monotonic() - started < 5
    said["zygote"] = b"_HANDLER=" not in open("/proc/self/environ", "rb").read()
    return said
