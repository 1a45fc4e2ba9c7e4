"""The rarer half of JSON as Lambda's runtime writes it: imported when a response needs it."""

import json
import os


def plain(value, above=()):
    """Returns value with an object in place of every named tuple."""
    if id(value) in above:
        raise ValueError("Circular reference detected")
    above += (id(value),)
    if isinstance(value, dict):
        return {k: plain(v, above) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {k: plain(v, above) for k, v in value._asdict().items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, above) for v in value]
    return value


def with_text_keys(value):
    """Returns value with text in place of the bytes that are keys. Any other key is refused in Lambda's words."""
    if isinstance(value, dict):
        return {_key(k): with_text_keys(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_text_keys(v) for v in value]
    return value


def _key(key):
    if isinstance(key, bytes):
        return key.decode("utf-8")
    if key is None or isinstance(key, (str, int, float)):
        return key
    raise TypeError("keys must be str, int, float, bool or None, not {}".format(type(key).__name__))


def encode_decimals(value, plain_default, found, ascii_only):
    """Encodes a value with decimals in it, which keep their digits."""
    # The encoder writes no raw text, so each decimal goes in as a string nobody else can have written.
    mark = os.urandom(16).hex()
    numbers = []

    def default(item):
        try:
            return plain_default(item)
        except found:
            if item.is_nan():
                return float("nan")
            numbers.append(str(item))
            return "{}:{}".format(mark, len(numbers) - 1)

    text = json.JSONEncoder(default=default, ensure_ascii=ascii_only).encode(value)
    pieces = text.split('"' + mark + ":")
    out = [pieces[0]]
    for piece in pieces[1:]:
        index, _, rest = piece.partition('"')
        out.append(numbers[int(index)])
        out.append(rest)
    return "".join(out).encode("utf-8")
