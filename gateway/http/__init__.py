"""HTTP to the outside: each request is sent once, and an answer can neither fill the memory nor stop the loop.

Of an answer are given out the status, its headers (64 kB) and at most `LIMIT` bytes of its body, unpacked. Whoever
needs more says so by ``limit=``, or streams it.
"""

from gateway.http.answer import LONGEST_WAIT, certainly_unsent, excerpt, proxy_status, retry_after
from gateway.http.body import LIMIT, beginning
from gateway.http.client import build_client
from gateway.http.deadline import ends_within
from gateway.http.places import ForbiddenAddress, Reach, fault_of_address, is_private

__all__ = [
    "LIMIT",
    "LONGEST_WAIT",
    "ForbiddenAddress",
    "Reach",
    "beginning",
    "build_client",
    "certainly_unsent",
    "ends_within",
    "excerpt",
    "fault_of_address",
    "is_private",
    "proxy_status",
    "retry_after",
]
