"""Lists: pages, order, and what narrows them down."""

from __future__ import annotations

import pytest

from tests.simulator.support import asynchronous, running


@asynchronous
async def test_a_list_has_twenty_entries_unless_told_otherwise() -> None:
    async with running(sites=2, sessions=45) as bench:
        reply = await bench.api("sessions")

        assert list(reply.json) == ["ok", "message", "result", "hasNext", "hasPrevious"]
        assert len(reply.result) == 20
        assert (reply.json["hasNext"], reply.json["hasPrevious"]) == (True, False)


@pytest.mark.parametrize("first_page", [0, 1])
@asynchronous
async def test_the_pages_of_a_list_make_up_the_whole(first_page: int) -> None:
    async with running(sites=2, sessions=45, first_page=first_page) as bench:
        pages = [
            (await bench.api(f"sessions?paginate_limit=20&paginate_page={first_page + n}")).json
            for n in range(4)
        ]
        everything = await bench.every("sessions", sort_order="desc")

        assert [len(page["result"]) for page in pages] == [20, 20, 5, 0]
        assert [page["hasNext"] for page in pages] == [True, True, False, False]
        assert [page["hasPrevious"] for page in pages] == [False, True, True, True]
        assert [item for page in pages for item in page["result"]] == everything


@asynchronous
async def test_lists_are_newest_first_and_may_be_turned_around() -> None:
    async with running(sites=2, sessions=30) as bench:
        newest = [s["createdAt"] for s in (await bench.api("sessions?paginate_limit=30")).result]
        oldest = [s["createdAt"] for s in await bench.every("sessions")]

        assert newest == sorted(newest, reverse=True)
        assert oldest == newest[::-1]


@asynchronous
async def test_paging_can_be_switched_off() -> None:
    async with running(sites=2, sessions=30) as bench:
        reply = await bench.api("sessions?paginate_enabled=false")

        assert len(reply.result) == 30


@asynchronous
async def test_lists_can_be_narrowed_by_time() -> None:
    async with running(sites=2, sessions=30) as bench:
        times = [session["createdAt"] for session in await bench.every("sessions")]
        middle = times[12]

        since = await bench.every("sessions", **{"createdAt[$gte]": middle})
        until_ = await bench.every("sessions", **{"createdAt[$lte]": middle})

        assert [session["createdAt"] for session in since] == times[12:]
        assert [session["createdAt"] for session in until_] == times[:13]


@asynchronous
async def test_lists_can_be_ordered_by_their_last_change() -> None:
    async with running(sites=2, sessions=30) as bench:
        changed = (await bench.every("sessions"))[3]
        await bench.sim(f"sessions/{changed['_id']}/unplug", {})

        latest = (await bench.api("sessions?sort_by=updatedAt&paginate_limit=1")).result

        assert [session["_id"] for session in latest] == [changed["_id"]]


@asynchronous
async def test_lists_can_be_filtered() -> None:
    async with running(sites=3, sessions=30, share_offline=0.2) as bench:
        session = (await bench.every("sessions"))[0]
        await bench.sim(f"sessions/{session['_id']}/unplug", {})
        stations = await bench.every("chargestations")
        offline = [station for station in stations if not station["online"]]
        site = stations[0]["location"]

        assert len(await bench.every("sessions", status="started")) == 29
        ended = await bench.every("sessions", connector=session["connector"])
        assert [one["_id"] for one in ended] == [session["_id"]]
        assert await bench.every("chargestations", online="false") == offline
        there = await bench.every("chargestations", location=site)
        assert there == [station for station in stations if station["location"] == site]


@pytest.mark.parametrize(
    "query",
    [
        "paginate_limit=0",
        "paginate_limit=1001",
        "paginate_limit=many",
        "paginate_page=-1",
        "sort_by=colour",
        "sort_order=up",
        "createdAt[$gte]=yesterday",
        "paginate_enabled=maybe",
    ],
)
@asynchronous
async def test_a_wrong_list_parameter_is_named(query: str) -> None:
    async with running() as bench:
        reply = await bench.api(f"sessions?{query}")

        assert reply.status == 400
        assert query.split("=", maxsplit=1)[0] in reply.json["message"]
