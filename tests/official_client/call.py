"""Makes the calls it is told on stdin with the official client, and says on stdout what came of each."""

import json
import sys
import time

from abyssale import Abyssale, AbyssaleError

TOLD = ("status", "id", "message", "errors", "body", "retry_after")


def outcome(method, arguments):
    started = time.monotonic()
    try:
        came = {"value": method(*arguments).model_dump(mode="json")}
    except AbyssaleError as error:
        came = {"raised": type(error).__name__, **{name: getattr(error, name, None) for name in TOLD}}
    return {**came, "seconds": time.monotonic() - started}


told = json.load(sys.stdin)
with Abyssale(told["api_key"], base_url=told["base_url"]) as client:
    outcomes = [outcome(getattr(client, name), arguments) for name, arguments in told["calls"]]
json.dump(outcomes, sys.stdout)
