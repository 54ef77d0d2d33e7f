"""Asks the official verifier about the deliveries it is told on stdin: accepts, refuses, or raises what?"""

import json
import sys

from abyssale.webhooks import verify_webhook_signature


def verdict(delivery):
    body = delivery["body"].encode()
    # A float, as the clock gives it that the verifier reads by itself.
    now = None if delivery["now"] is None else float(delivery["now"])
    try:
        accepted = verify_webhook_signature(body, delivery["header"], delivery["secret"], now=now)
    except Exception as error:
        return f"raises {type(error).__name__}"
    return "accepts" if accepted else "refuses"


json.dump([verdict(delivery) for delivery in json.load(sys.stdin)], sys.stdout)
