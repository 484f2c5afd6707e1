"""Sharing what caps allow: max-min fair, with floors and turns, under any number of caps at once.

    W │          ┌─┐            everyone rises with the water, until what he can take (B), or a
      │      ┌─┐ │ │            cap that he stands under, is reached; nobody could be given more
    ──┼─▒▒▒──│▒│─│▒│── level    without taking it from somebody who has less
      │ ▒▒▒  │▒│ │▒│
        A     B   C

Progressive filling: D. Bertsekas and R. Gallager, Data Networks, 2nd ed. (1992), 6.5.2, "Max-Min
Flow Control". Here a link is a cap, a flow is a car, and every car has a floor and a bound. Pure.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from chargers.electricity import ROUNDING

# Caps have numbers here: they are looked up many times a car, and an event's id is slow to hash.
CapNumber: TypeAlias = int
Room: TypeAlias = Mapping[CapNumber, float]


class Claim(NamedTuple):
    """What a car asks of the caps it stands under: nothing, or from `least_w` to `most_w`. Where
    it needs no least, up to `turn_w` is kept free for it in its turn, lest floors take it all."""

    key: int
    least_w: float
    most_w: float
    caps: tuple[CapNumber, ...]
    turn_w: float = 0.0


class Share(NamedTuple):
    """What it gets, and the cap that keeps it from more; None where it needs no more."""

    watts: float
    cap: CapNumber | None = None


NOTHING = Share(0.0)


def admit(queue: Iterable[Claim], room: Room) -> list[Claim]:
    """Those that can have their floors, in the order of the queue.

    Nobody overtakes: where the next in line does not fit under a cap, that cap's room is left
    until it does, so that a car with a high floor is not passed over for ever by those with low
    ones. A floor that no cap of its could ever hold waits for nothing and stops nobody.
    """
    left, closed, admitted = dict(room), set[CapNumber](), []
    for claim in queue:
        if claim.most_w <= 0 or not _could_ever_fit(claim, room):
            continue
        if claim.least_w > 0:
            short = [cap for cap in claim.caps if claim.least_w > left[cap] + ROUNDING]
            if short or not closed.isdisjoint(claim.caps):
                closed.update(short)
                continue
        takes_w = claim.least_w or max(0.0, min((claim.turn_w, *(left[cap] for cap in claim.caps))))
        for cap in claim.caps:
            left[cap] -= takes_w
        admitted.append(claim)
    return admitted


def _could_ever_fit(claim: Claim, room: Room) -> bool:
    return all(claim.least_w <= room[cap] + ROUNDING for cap in claim.caps)


def fill(claims: Sequence[Claim], room: Room) -> dict[int, Share]:
    """The max-min fair share of each claim. Their floors must fit; `admit` sees to that."""
    return _Filling(claims, room).run()


@dataclass(slots=True)
class _Cap:
    """used(level) = fixed_w + growing × level."""

    room_w: float
    fixed_w: float = 0.0
    growing: int = 0
    members: list[Claim] = field(default_factory=list)

    def full_at(self) -> float:
        return (self.room_w - self.fixed_w) / self.growing if self.growing else float("inf")


class _Filling:
    """One run of the water. Each claim enters at its floor, and stops at its bound or when the
    first of its caps is full."""

    def __init__(self, claims: Sequence[Claim], room: Room) -> None:
        self.shares: dict[int, Share] = {}
        self.growing: set[int] = set()
        self.caps = {cap: _Cap(room_w) for cap, room_w in room.items()}
        for claim in claims:
            for cap in claim.caps:
                self.caps[cap].members.append(claim)
                self.caps[cap].fixed_w += claim.least_w
        self.entries = sorted(claims, key=attrgetter("least_w"))
        self.bounds = sorted(claims, key=attrgetter("most_w"))
        # Times at which a cap is full: never too late, perhaps too early, so looked at twice.
        self.heap: list[tuple[float, int, CapNumber]] = []
        self.ties = count()

    def run(self) -> dict[int, Share]:
        bounds = iter(self.bounds)
        bound = next(bounds, None)
        for least_w, entering in self._entries():
            bound = self._rise_to(least_w, bound, bounds)
            self._enter(entering)
        self._rise_to(float("inf"), bound, bounds)
        return self.shares

    def _entries(self) -> Iterator[tuple[float, list[Claim]]]:
        for least_w, claims in groupby(self.entries, key=attrgetter("least_w")):
            yield least_w, list(claims)

    def _enter(self, claims: list[Claim]) -> None:
        touched: dict[CapNumber, None] = {}
        for claim in claims:
            if claim.key in self.shares:
                continue
            self.growing.add(claim.key)
            for key in claim.caps:
                cap = self.caps[key]
                cap.fixed_w -= claim.least_w
                cap.growing += 1
                touched[key] = None
        for key in touched:
            self._watch(key)

    def _watch(self, key: CapNumber) -> None:
        heapq.heappush(self.heap, (self.caps[key].full_at(), next(self.ties), key))

    def _rise_to(self, level: float, bound: Claim | None, bounds: Iterator[Claim]) -> Claim | None:
        """Let the water rise; returns the next bound above it."""
        while True:
            bound_at = bound.most_w if bound else float("inf")
            full_at = self.heap[0][0] if self.heap else float("inf")
            if min(bound_at, full_at) >= level:
                return bound
            if full_at < bound_at:
                self._fill_up(heapq.heappop(self.heap)[2], full_at)
            else:
                assert bound is not None
                self._stop(bound, Share(bound.most_w))
                bound = next(bounds, None)

    def _fill_up(self, key: CapNumber, level: float) -> None:
        cap = self.caps[key]
        if cap.full_at() > level + ROUNDING:
            if cap.growing:
                self._watch(key)
            return
        for claim in cap.members:
            if claim.key not in self.shares:
                watts = level if claim.key in self.growing else claim.least_w
                self._stop(claim, Share(max(watts, claim.least_w), key))

    def _stop(self, claim: Claim, share: Share) -> None:
        if claim.key in self.shares:
            return
        self.shares[claim.key] = share
        was_growing = claim.key in self.growing
        for key in claim.caps:
            cap = self.caps[key]
            cap.fixed_w += share.watts - (0.0 if was_growing else claim.least_w)
            cap.growing -= was_growing
        self.growing.discard(claim.key)


def used_w(shares: Iterable[tuple[Sequence[CapNumber], float]]) -> dict[CapNumber, float]:
    """What is used of each cap, from the caps of each car and its watts."""
    used: defaultdict[CapNumber, float] = defaultdict(float)
    for caps, watts in shares:
        for cap in caps:
            used[cap] += watts
    return used
