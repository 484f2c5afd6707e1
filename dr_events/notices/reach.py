"""Which addresses an outgoing webhook may reach. A user chooses them, and the gateway stands where
that user does not: without this it would fetch from inside the network on demand (server-side
request forgery). Pure.

What a name resolves to is judged again at each attempt, by `post`, and the connection goes to just
those addresses: a name that means something else a moment later gains nothing.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
# Never reached, though some count as public and the others as of an inner network.
CLOSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # RFC 6890: of protocols
        "fec0::/10",  # RFC 3879: of a site, as fc00::/7 is now
        # Where clouds tell a machine its credentials, besides 169.254.169.254.
        "fd00:ec2::/32",  # AWS
        "fd20:ce::254",  # Google
        "fd00:c1::a9fe:a9fe",  # Oracle
        "100.100.100.200",  # Alibaba
    )
)
LOOPBACK_NAMES = ("localhost", "localhost.")


class AddressRefused(ValueError):
    """The message says why, in words for whoever typed the address."""


@dataclass(frozen=True, slots=True)
class Reach:
    """`private`: addresses of inner networks may be reached. `loopback`: this machine itself, and
    that without TLS; for trying things out."""

    private: bool = False
    loopback: bool = False

    def check(self, url: str) -> None:
        """Raises AddressRefused for what no name server need be asked about."""
        host = _host_of(url)
        literal = _literal(host)
        is_loopback = host in LOOPBACK_NAMES or (literal is not None and literal.is_loopback)
        if urlsplit(url).scheme != "https" and not (self.loopback and is_loopback):
            raise AddressRefused("must begin with https://")
        if literal is not None:
            self.check_ip(host)

    def check_ip(self, text: str) -> None:
        """Raises AddressRefused for an IP address that is not to be reached."""
        ip = inner(ipaddress.ip_address(text.partition("%")[0]))
        if ip.is_loopback:
            allowed = self.loopback
        elif ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
            allowed = False
        else:
            is_closed = any(ip in network for network in CLOSED)
            allowed = not is_closed and (ip.is_global or self.private)
        if not allowed:
            raise AddressRefused(f"{text} is not an address that may be reached from here")


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        _checked = parts.port
    except ValueError as error:
        raise AddressRefused("is no web address") from error
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise AddressRefused("is no web address")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("must not have a name or a password in it")
    return parts.hostname.lower()


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return inner(ipaddress.ip_address(host))
    except ValueError:
        return None


def inner(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for; else the address itself."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)
