"""The logging module as Lambda's runtime sets it up: the root logger has Lambda's handler. It is imported when a function
imports logging, or ahead."""

import json
import logging
import os
import sys
import time


class LambdaLoggerHandler(logging.Handler):
    def emit(self, record):
        _bootstrap.log(self.format(record))


class LambdaLoggerFilter(logging.Filter):
    def filter(self, record):
        record.aws_request_id = _bootstrap._request_id
        record.tenant_id = _bootstrap._tenant_id
        return True


_bootstrap = sys.modules["__main__"]
_handler = LambdaLoggerHandler()
_handler.addFilter(LambdaLoggerFilter())
_handler.setFormatter(
    logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n",
        "%Y-%m-%dT%H:%M:%S",
    )
)
logging.Formatter.converter = time.gmtime
logging.getLogger().addHandler(_handler)


def set_up():
    """Does what the environment variables say of it."""
    if _bootstrap._json_logs():
        _handler.setFormatter(_json_formatter())
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL", "WARN": "WARNING"}.get(level, level)
    if isinstance(logging.getLevelName(level), int):
        logging.getLogger().setLevel(level)


def _json_formatter():
    known = set(vars(logging.makeLogRecord({}))) | {"aws_request_id", "tenant_id", "message", "asctime", "taskName"}
    compact = json.JSONEncoder(ensure_ascii=False, default=str)

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            entry = {
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
                # Lambda knows the standard levels only.
                "level": logging.getLevelName(min(50, max(0, record.levelno)) // 10 * 10),
                "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
                "logger": record.name,
            }
            if record.exc_info and record.exc_info[0]:
                import traceback

                kind, value, trace = record.exc_info
                entry["stackTrace"] = traceback.format_tb(trace)
                entry["errorType"] = kind.__name__
                entry["errorMessage"] = str(value)
            entry["requestId"] = record.aws_request_id
            if "errorType" in entry:
                entry["location"] = "{}:{}:{}".format(record.pathname, record.funcName, record.lineno)
            entry["tenantId"] = record.tenant_id
            for name, value in vars(record).items():
                if name not in known and name not in entry:
                    entry[name] = value
            return compact.encode({name: value for name, value in entry.items() if value is not None}) + "\n"

    return JsonFormatter()
