"""The context object that a handler gets beside its event."""

import json
import os
import time


class ContextError(Exception):
    """What the caller sent along cannot be understood."""


class _Record:
    """An object with the fields named in __slots__, from a dictionary."""

    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return "{}([{}])".format(
            type(self).__name__,
            ",".join("{}={}".format(name, getattr(self, name)) for name in self.__slots__),
        )


class CognitoIdentity(_Record):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, sent):
        self.cognito_identity_id = sent.get("cognitoIdentityId")
        self.cognito_identity_pool_id = sent.get("cognitoIdentityPoolId")


class Client(_Record):
    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Record):
    __slots__ = ("custom", "env", "client")


# The part of every context that an environment has for its life.
_place = (None,) * 5


def read_place():
    """Learns whose contexts these are, from the environment variables."""
    global _place
    _place = tuple(
        os.environ.get("AWS_LAMBDA_" + name)
        for name in ("LOG_GROUP_NAME", "LOG_STREAM_NAME", "FUNCTION_NAME", "FUNCTION_MEMORY_SIZE", "FUNCTION_VERSION")
    )


class LambdaContext:
    """What a handler gets beside its event."""

    def __init__(self, head, log):
        """head is the event's header, log writes a log record."""
        self.__log = log
        self.aws_request_id = head.get("id", "")
        (
            self.log_group_name,
            self.log_stream_name,
            self.function_name,
            self.memory_limit_in_mb,
            self.function_version,
        ) = _place
        self.invoked_function_arn = head.get("arn", "")
        self.tenant_id = head.get("tenant")
        self.client_context = None
        self.__w3c = {}
        if head.get("client"):
            client = _parse(head["client"], "Client Context")
            self.__w3c = _trace_fields(client.pop("w3c", None))
            self.client_context = ClientContext(client)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
        self.identity = CognitoIdentity(_parse(head["identity"], "Cognito Identity") if head.get("identity") else {})
        self._deadline = head["deadline"]

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def w3c(self):
        """The W3C trace context that the caller sent in the client context."""
        return dict(self.__w3c)

    def log(self, message):
        self.__log(str(message))

    def __repr__(self):
        names = (
            "aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb"
            " function_version invoked_function_arn client_context identity tenant_id"
        )
        return "LambdaContext([{}])".format(",".join("{}={}".format(n, getattr(self, n)) for n in names.split()))


def _trace_fields(sent):
    names = ("traceparent", "tracestate", "baggage")
    return {n: sent[n] for n in names if isinstance(sent.get(n), str)} if isinstance(sent, dict) else {}


def _parse(text, name):
    try:
        value = json.loads(text)
        if isinstance(value, dict):
            return value
        raise ValueError("not an object")
    except ValueError as e:
        raise ContextError("Unable to parse {} JSON: {}".format(name, e))
