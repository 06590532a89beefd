"""A child that does what a request says, for tests of `bounded_process`."""

import os
import time

from blendin_local.bounded_process import serve


def answer(request: bytes) -> bytes:
    """Echo, or do what the request names."""
    match request:
        case b"abort":
            os.abort()
        case b"exit":
            os.write(1, b"a last word")
            os._exit(3)
        case b"sleep":
            time.sleep(60)
        case b"fill":
            return bytes([1]) * 2**30
    return request


if __name__ == "__main__":
    serve(answer)
