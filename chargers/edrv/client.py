"""Single calls to eDRV with `requests`: lists and look-ups. Bursts go through `burst`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from chargers.edrv import calls, payloads
from chargers.edrv.calls import Call, Endpoint, Page
from chargers.edrv.errors import NotFound, ProviderFailed, ProviderUnreachable, Refused

# v1's list parameters (1 to 1,000 a page); v1.1's are in no document.
PAGE_SIZE = 1000
FIRST_PAGE = 1
MAX_PAGES = 10_000
# A page of 1,000 chargestations with their connectors has some 10 MB.
MAX_PAGE_BYTES = 64_000_000
# For all of an answer; EDRV_TIMEOUT_S is for each piece of it.
PATIENCE = 4
PIECE_BYTES = 65_536


class EdrvClient:
    """One keep-alive connection to eDRV. Every method raises EdrvError."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._http = SameOrigin()
        # Given as `auth`, the key is not replaced by a ~/.netrc entry for the host.
        self._http.auth = self._authorize

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._endpoint.headers())
        return request

    def get_session(self, session_id: str) -> payloads.SessionData:
        """One session. Raises NotFound where eDRV knows none of this id."""
        return calls.read_session_answer(*self._send(calls.get_session(session_id)))

    def pages(self, resource: str, filters: Mapping[str, str] | None = None) -> Iterator[list[Any]]:
        """Every page of `locations`, `chargestations`, `connectors` or `sessions`, oldest first.

        Ends where eDRV says there is no next page or, since v1.1 may page otherwise, where a
        page brings nothing new.
        """
        seen: set[str] = set()
        for number in range(FIRST_PAGE, MAX_PAGES + 1):
            page = self._page(resource, number, filters or {})
            if number == FIRST_PAGE and page.has_previous is not False:
                yield from self._page_before(resource, page, filters or {})
            ids = {found for item in page.items if (found := payloads.reference(item))}
            if not ids - seen:
                return
            seen |= ids
            yield page.items
            if page.has_next is False:
                return

    def _page_before(
        self, resource: str, first: Page, filters: Mapping[str, str]
    ) -> Iterator[list[Any]]:
        """Page 0: whether pages count from 0 or from 1 is in no document, nor what asking for one
        that is not there comes to."""
        try:
            yield self._page(resource, FIRST_PAGE - 1, filters).items
        except (Refused, NotFound, ProviderFailed):
            if first.has_previous:
                raise

    def _page(self, resource: str, number: int, filters: Mapping[str, str]) -> Page:
        query = {
            "paginate_limit": str(PAGE_SIZE),
            "paginate_page": str(number),
            "sort_by": "createdAt",
            "sort_order": "asc",
            **filters,
        }
        try:
            return calls.read_page(*self._send(Call("GET", f"/{resource}"), query))
        except (NotFound, ProviderFailed) as error:
            # Clients are seen that ask for `/locations/`. A path that is not there is answered in
            # whatever words the server has.
            if error.http_status != 404:
                raise
            return calls.read_page(*self._send(Call("GET", f"/{resource}/"), query))

    def _send(
        self, call: Call, query: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            response = self._http.request(
                call.method,
                self._endpoint.api_url + call.path,
                params=query,
                data=call.body,
                timeout=self._endpoint.timeout_s,
                allow_redirects=call.method == "GET",
                stream=True,
            )
            return response.status_code, response.headers, self._read(response)
        except requests.ConnectionError as error:
            raise ProviderUnreachable(type(error).__name__, ambiguous=True) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ProviderUnreachable(str(error), ambiguous=True) from error

    def _read(self, response: requests.Response) -> bytes:
        """All of the body, unless that is larger or slower than anything meant for us. Read to
        its end it leaves the connection to the next call."""
        give_up_at_s = time.monotonic() + PATIENCE * self._endpoint.timeout_s
        body = bytearray()
        while piece := response.raw.read1(PIECE_BYTES, decode_content=True):
            body += piece
            is_slow = time.monotonic() > give_up_at_s
            if is_slow or len(body) > MAX_PAGE_BYTES:
                response.close()
                trouble = f"the answer is too {'slow' if is_slow else 'large'}"
                raise ProviderUnreachable(trouble, ambiguous=True)
        return bytes(body)


class SameOrigin(requests.Session):
    """Follows a redirect within eDRV's own host. One that leads elsewhere is the answer: whoever
    can write eDRV's answers must not have us call whom they like, or get the key."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is None or _origin(urljoin(resp.url, target)) != _origin(resp.url):
            return None
        return target


def _origin(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme, parts.netloc
