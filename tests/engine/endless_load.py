"""A first load that never ends."""

from blendin_local.bounded_process import serve
from blendin_local.engine import trial_load


def _answer(request: bytes) -> bytes:
    trial_load._limit(2**30, 1)
    while True:
        request += b""


if __name__ == "__main__":
    serve(_answer)
