"""A first load that wants two gibibytes more than it is given."""

import json

from blendin_local.bounded_process import serve
from blendin_local.engine import trial_load


def _answer(request: bytes) -> bytes:
    size = json.loads(request)["bytes"]
    trial_load._limit(size, 30)
    return bytes(size + 2**31)


if __name__ == "__main__":
    serve(_answer)
