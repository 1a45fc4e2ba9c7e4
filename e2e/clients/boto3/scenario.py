"""Walks the scenario with boto3 and prints what it saw: scenario.py FILE, where FILE names server, credentials and steps."""

import base64
import datetime
import json
import sys

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError


def snake(name):
    return botocore.xform_name(name)


def plain(value):
    """Turns an answer into JSON."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if hasattr(value, "read"):
        return value.read().decode()
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items() if name != "ResponseMetadata"}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def blobs(value):
    """Turns {"$blob": base64} into bytes, and {"$letters": n} into a JSON text of n letters."""
    if isinstance(value, dict):
        if "$blob" in value:
            return base64.b64decode(value["$blob"])
        if "$letters" in value:
            return b'"' + b"x" * value["$letters"] + b'"'
        return {name: blobs(v) for name, v in value.items()}
    if isinstance(value, list):
        return [blobs(v) for v in value]
    return value


class Walker:
    def __init__(self, world):
        self.world = world
        self.clients = {}

    def client(self, service, who):
        if (service, who) not in self.clients:
            key, secret = self.world["credentials"][who] if who != "nobody" else (None, None)
            self.clients[service, who] = boto3.client(
                service,
                endpoint_url=self.world["endpoint"],
                region_name=self.world["region"],
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                config=Config(
                    retries={"total_max_attempts": 1},
                    signature_version=botocore.UNSIGNED if who == "nobody" else None,
                ),
            )
        return self.clients[service, who]

    def walk(self, step):
        target = step.get("call") or step.get("wait") or step.get("pages")
        service, name = target.split(".")
        client = self.client(service, step.get("as", "root"))
        given = blobs(step["input"])
        if "wait" in step:
            client.get_waiter(snake(name)).wait(WaiterConfig={"Delay": 1, "MaxAttempts": 60}, **given)
            return {"done": True}
        if "pages" in step:
            pages = client.get_paginator(snake(name)).paginate(PaginationConfig={"PageSize": step["size"]}, **given)
            return {"pages": [plain(page) for page in pages]}
        answer = getattr(client, snake(name))(**given)
        return {"status": answer["ResponseMetadata"]["HTTPStatusCode"], "output": plain(answer)}

    def see(self, step):
        try:
            return self.walk(step)
        except ClientError as e:
            return {
                "status": e.response["ResponseMetadata"]["HTTPStatusCode"],
                "error": {"code": e.response["Error"]["Code"], "message": e.response["Error"]["Message"]},
            }
        except WaiterError as e:
            return {"failed": str(e)}


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        world = json.load(f)
    walker = Walker(world)
    seen = [dict(walker.see(step), step=step["step"]) for step in world["steps"]]
    json.dump(seen, sys.stdout)


main()
