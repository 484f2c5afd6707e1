"""Where an outgoing webhook may go."""

from __future__ import annotations

import pytest

from dr_events.notices.reach import AddressRefused, Reach

PUBLIC, INNER, TRYING = Reach(), Reach(private=True), Reach(loopback=True)

GLOBAL = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]
PRIVATE = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1"]
NEVER = [
    "169.254.169.254",  # where clouds tell a machine its credentials
    "fd00:ec2::254",  # the same over IPv6: AWS, Google, Oracle
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
    "100.100.100.200",  # the same at Alibaba
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.255",
    "fe80::1",
    "fec0::1",
    "feff::1",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
]
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1"]
# IPv6 that stands for the IPv4 address it has in it.
DISGUISED = [
    ("::ffff:{}", "mapped"),
    ("64:ff9b::{}", "NAT64"),
]


def is_allowed(reach: Reach, ip: str) -> bool:
    try:
        reach.check_ip(ip)
    except AddressRefused:
        return False
    return True


@pytest.mark.parametrize("ip", GLOBAL)
def test_public_addresses_may_be_reached(ip: str) -> None:
    assert is_allowed(PUBLIC, ip)


@pytest.mark.parametrize("ip", PRIVATE)
def test_inner_networks_only_where_the_setting_says_so(ip: str) -> None:
    assert (is_allowed(PUBLIC, ip), is_allowed(INNER, ip)) == (False, True)


@pytest.mark.parametrize("ip", NEVER)
def test_some_addresses_are_reached_never(ip: str) -> None:
    assert not any(is_allowed(reach, ip) for reach in (PUBLIC, INNER, TRYING))


@pytest.mark.parametrize("ip", LOOPBACK)
def test_this_machine_only_for_trying_things_out(ip: str) -> None:
    assert [is_allowed(reach, ip) for reach in (PUBLIC, INNER, TRYING)] == [False, False, True]


@pytest.mark.parametrize(("form", "name"), DISGUISED, ids=lambda one: one)
@pytest.mark.parametrize("ip", ["127.0.0.1", "10.1.2.3", "169.254.169.254"])
def test_an_address_in_disguise_is_seen_through(form: str, name: str, ip: str) -> None:
    assert not is_allowed(PUBLIC, form.format(ip))


def test_a_link_local_address_with_its_zone_is_refused() -> None:
    assert not is_allowed(INNER, "fe80::1%eth0")


@pytest.mark.parametrize(
    "url",
    [
        "http://pager.example.com/",
        "ftp://pager.example.com/",
        "pager.example.com",
        "https://",
        "https://pager.example.com:port/",
        "https://anna:password@pager.example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.1.2.3/hook",
        "file:///etc/passwd",
    ],
)
def test_what_needs_no_name_server_to_be_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        PUBLIC.check(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hook", "http://localhost/", "http://[::1]:9/"])
def test_plain_http_goes_to_this_machine_alone_and_only_for_trying_things_out(url: str) -> None:
    TRYING.check(url)

    with pytest.raises(AddressRefused):
        INNER.check(url)
    with pytest.raises(AddressRefused):
        TRYING.check("http://pager.example.com/")


def test_names_are_judged_by_what_they_resolve_to_later() -> None:
    PUBLIC.check("https://pager.example.com/hook?team=grid")
