"""One signed POST to somebody's webhook. Knows no models.

Bounded in every way: in time, in what is read of the answer, and in where it may lead.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from dr_events.notices.reach import AddressRefused, Reach
from dr_events.notices.retries import Outcome, of_status

Session = aiohttp.ClientSession

CONNECT_TIMEOUT_S = 5.0
TIMEOUT_S = 10.0
MOST_ANSWER_BYTES = 500
TYPE = {"Content-Type": "application/json", "User-Agent": "demand-response-gateway"}


class GuardedResolver(AbstractResolver):
    """Resolves names to addresses that may be reached, all of them or none at all."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            self._reach.check_ip(one["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def open_session(reach: Reach) -> Session:
    """One for a round of attempts: no cookies, no proxy, no connection kept."""
    return Session(
        connector=aiohttp.TCPConnector(resolver=GuardedResolver(reach), force_close=True),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


async def post(
    session: Session,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    reach: Reach,
) -> Outcome:
    """Send it, once. Every way in which that can go is an Outcome."""
    try:
        # The resolver is not asked about an address that is a number already.
        reach.check(url)
        async with session.post(
            url, data=body, headers={**TYPE, **headers}, allow_redirects=False
        ) as response:
            answer = await response.content.read(MOST_ANSWER_BYTES)
            return of_status(response.status, _text(answer), _retry_after_s(response))
    except (AddressRefused, aiohttp.InvalidURL) as error:
        return Outcome("address_refused", answer=str(error), permanent=True)
    except TimeoutError:
        return Outcome("no_answer_in_time")
    except aiohttp.ClientSSLError as error:
        return Outcome("tls_failed", answer=str(error)[:MOST_ANSWER_BYTES])
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Outcome("unreachable", answer=str(error)[:MOST_ANSWER_BYTES])


def _text(answer: bytes) -> str:
    """PostgreSQL takes no NUL."""
    return answer.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _retry_after_s(response: aiohttp.ClientResponse) -> float | None:
    """Only as seconds: a receiver's date is by the receiver's clock."""
    said = response.headers.get("Retry-After", "").strip()
    return float(said) if said.isascii() and said.isdigit() and len(said) < 7 else None
