"""Sharing caps among cars that are charging: what is fair, what of that is worth a command, and
what of that is safe now. Pure.

    fair     max-min over what each can take, its 6 A floor, its turn        `_fair`
    worth it small changes wait; what nobody needs is not taken away         `_worth_it`
    safe     what one frees is confirmed before another is given it          `_safe`

So at every moment what the limits in force allow, together with all those on their way, is within
the cap, as soon as it once was: a session that has not answered counts at its old allowance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from chargers.electricity import ROUNDING
from dr_events.orders import Car, Rules
from dr_events.sharing import NOTHING, CapKey, Claim, Room, Share, admit, fill, used_w

Watts: TypeAlias = dict[int, float]


@dataclass(frozen=True, slots=True)
class Claimant:
    """A car under a cap. It can be held to nothing or from `least_w` to `most_w`, and makes no
    use of more than `ceiling_w`. `caps` bind it, `counted` are those whose room it uses; of
    these `standing` hold whatever its `rank`. One with `free_w` cannot be held at all."""

    car: Car
    rank: int
    least_w: float
    most_w: float
    ceiling_w: float
    caps: tuple[CapKey, ...]
    standing: tuple[CapKey, ...]
    counted: tuple[CapKey, ...]
    free_w: float | None = None

    @property
    def key(self) -> int:
        return self.car.session_id

    @property
    def in_force_w(self) -> float:
        """Its old allowance, until it has answered."""
        grip = self.car.grip
        return max(grip.held_w or 0.0, self.car.full_w if grip.is_loose else 0.0)

    @property
    def stuck_w(self) -> float:
        """What it may be drawing, whatever it is told."""
        grip = self.car.grip
        free_w, held_w = self.car.free_w, grip.held_w or 0.0
        return max(held_w, free_w if grip.is_loose else self.car.power_w or 0.0)


@dataclass(frozen=True, slots=True)
class Allotment:
    """What a car may have now, the cap that keeps it from more, and what it waits for: its
    `turn`, or `room` that others have not yet been confirmed to give up."""

    watts: float
    cap: CapKey | None = None
    waits: str = ""


@dataclass(frozen=True, slots=True)
class Allotted:
    """`again_at`: when it should be looked at again though nothing happens."""

    shares: dict[int, Allotment]
    again_at: datetime | None = None


def allocate(claimants: Sequence[Claimant], room: Room, *, rules: Rules, now: datetime) -> Allotted:
    """What each claimant that can be held may have now."""
    free = [one for one in claimants if one.free_w is not None]
    held = sorted(
        (one for one in claimants if one.free_w is None),
        key=lambda one: _turn(one, rules.turn, now),
    )
    if not held:
        return Allotted({})
    left = _less(room, ((one.counted, one.free_w or 0.0) for one in free))
    return _Round(held, left, rules, now).allotted()


class _Round:
    """One allocation, over claimants in the order of their turns."""

    def __init__(
        self, claimants: Sequence[Claimant], room: Room, rules: Rules, now: datetime
    ) -> None:
        self.rules, self.now = rules, now
        stuck = [one for one in claimants if one.car.grip.is_stuck]
        self.stuck = _fair(stuck and claimants, room)
        self.movable = [one for one in claimants if not one.car.grip.is_stuck]
        reserved = ((one.counted, max(one.stuck_w, self.stuck[one.key].watts)) for one in stuck)
        self.room = _less(room, reserved)
        self.stuck = {one.key: self.stuck[one.key] for one in stuck}
        self.fair = _fair(self.movable, self.room)
        self.again: list[datetime] = []

    def allotted(self) -> Allotted:
        kept = self._worth_it()
        granted = self._safe(kept)
        shares = {key: Allotment(share.watts, share.cap) for key, share in self.stuck.items()}
        for one in self.movable:
            fair, watts = self.fair[one.key], granted[one.key]
            waits_turn = fair.watts == 0 and one.most_w > 0
            waits = "turn" if waits_turn else "room" if watts < kept[one.key] - ROUNDING else ""
            shares[one.key] = Allotment(watts, fair.cap, waits)
        self._note_next_turn(shares)
        return Allotted(shares, min(self.again, default=None))

    # --- worth it -------------------------------------------------------------------------

    def _worth_it(self) -> Watts:
        """Small changes are not made; what is not needed by others is left to whoever has it;
        newcomers are given what would be left over."""
        kept = {one.key: self._kept(one) for one in self.movable}
        self._reclaim(kept)
        newcomers = [
            Claim(one.key, kept[one.key], one.most_w, one.caps)
            for one in self.movable
            if one.car.wanted_w is None and kept[one.key] > 0
        ]
        if newcomers:
            mine = {claim.key for claim in newcomers}
            others = ((one.counted, kept[one.key]) for one in self.movable if one.key not in mine)
            shares = fill(newcomers, _less(self.room, others))
            kept |= {key: _whole(share) for key, share in shares.items()}
        return kept

    def _kept(self, one: Claimant) -> float:
        fair_w, now_w = self.fair[one.key].watts, one.car.wanted_w
        if now_w is None or not now_w or not fair_w or now_w > one.most_w + ROUNDING:
            return fair_w
        if fair_w <= now_w + self.rules.dead_band_w:
            return now_w
        assert one.car.grip.wanted_at is not None
        may_rise_at = one.car.grip.wanted_at + self.rules.minimum_interval
        if may_rise_at > self.now:
            self.again.append(may_rise_at)
            return now_w
        return fair_w

    def _reclaim(self, kept: Watts) -> None:
        """Where that is too much, those who have most above their fair share come down to it."""
        used = used_w((one.counted, kept[one.key]) for one in self.movable)
        over = {cap for cap, watts in used.items() if watts > self.room[cap] + ROUNDING}
        if not over:
            return
        surplus = [
            (self.fair[one.key].watts - kept[one.key], one)
            for one in self.movable
            if kept[one.key] > self.fair[one.key].watts and not over.isdisjoint(one.caps)
        ]
        for less_w, one in sorted(surplus, key=lambda pair: (pair[0], pair[1].key)):
            if any(used[cap] > self.room[cap] + ROUNDING for cap in one.caps):
                kept[one.key] += less_w
                for cap in one.counted:
                    used[cap] += less_w

    # --- safe -----------------------------------------------------------------------------

    def _safe(self, kept: Watts) -> Watts:
        """Who has less coming has it at once; who has more coming waits for the room."""
        fresh = [one for one in self.movable if one.car.grip.held_w is None]
        limited = [one for one in self.movable if one.car.grip.held_w is not None]
        rising = [one for one in limited if kept[one.key] > _held(one) + ROUNDING]
        granted = dict(kept)
        if fresh:
            taken = [
                *((one.counted, _held(one)) for one in limited),
                *((_only_counted(one), kept[one.key]) for one in fresh),
            ]
            granted |= self._admitted_fresh(fresh, kept, _less(self.room, taken))
        if rising:
            ups = {one.key for one in rising}
            taken = [
                *((one.counted, one.in_force_w) for one in limited if one.key not in ups),
                *((one.counted, max(one.car.full_w, granted[one.key])) for one in fresh),
            ]
            granted |= self._raised(rising, kept, _less(self.room, taken))
        return granted

    def _admitted_fresh(self, fresh: Sequence[Claimant], kept: Watts, room: Room) -> Watts:
        """Sessions without a limit, which is the most there is: they get one at once, and what
        the others are confirmed to leave."""
        claims = [
            Claim(one.key, min(one.least_w, kept[one.key]), kept[one.key], one.caps)
            for one in fresh
        ]
        shares = fill(admit(claims, room), room)
        return {one.key: _whole(shares.get(one.key, NOTHING)) for one in fresh}

    def _raised(self, rising: Sequence[Claimant], kept: Watts, room: Room) -> Watts:
        claims = [
            Claim(one.key, max(one.least_w, _held(one)), kept[one.key], one.caps) for one in rising
        ]
        shares = fill(admit(claims, room), room)
        return {
            one.key: self._worth_raising(one, _whole(shares.get(one.key, NOTHING)), kept[one.key])
            for one in rising
        }

    def _worth_raising(self, one: Claimant, watts: float, whole_w: float) -> float:
        """Part of a raise is worth a command only if it is no small part."""
        now_w = one.car.wanted_w or 0.0
        enough = watts >= whole_w - ROUNDING or watts > now_w + self.rules.dead_band_w
        return max(watts, now_w) if enough else now_w

    # --- turns ----------------------------------------------------------------------------

    def _note_next_turn(self, shares: Mapping[int, Allotment]) -> None:
        if not any(share.waits == "turn" for share in shares.values()):
            return
        since = (
            one.car.grip.running_since if shares[one.key].watts else one.car.grip.wanted_at
            for one in self.movable
        )
        ends = [at + self.rules.turn for at in since if at is not None]
        later = [end for end in ends if end > self.now]
        self.again.append(min(later, default=self.now + self.rules.turn))


def _fair(claimants: Sequence[Claimant], room: Room) -> dict[int, Share]:
    """Max-min fair shares, the highest priority first; of a standing capacity the others keep
    theirs meanwhile. Claimants in the order of their turns."""
    left, found = dict(room), dict[int, Share]()
    for rank in sorted({one.rank for one in claimants}):
        claims = [
            Claim(
                one.key,
                one.least_w,
                one.ceiling_w,
                one.caps if one.rank == rank else one.standing,
            )
            for one in claimants
            if one.rank >= rank
        ]
        shares = fill(admit(claims, left), left)
        for one in claimants:
            if one.rank == rank:
                share = shares.get(one.key, NOTHING)
                found[one.key] = Share(_whole(share), share.cap or _waited_for(one, share))
                for cap in one.counted:
                    left[cap] -= found[one.key].watts
    return found


def _waited_for(one: Claimant, share: Share) -> CapKey | None:
    return one.caps[0] if share is NOTHING and one.most_w > 0 else None


def _turn(one: Claimant, turn: timedelta, now: datetime) -> tuple[int, float, int]:
    """Whose turn it is comes first; then who has waited for a whole turn, the longest first; then
    who has had its turn, the one whose turn began last before the others; and at the end who has
    come, or stopped, just now: nobody is stopped for him."""
    grip, wanted_w = one.car.grip, one.car.wanted_w
    if wanted_w is None:
        return (3, now.timestamp(), one.key)
    if not wanted_w:
        since = grip.wanted_at or now
        return (1 if now - since >= turn else 3, since.timestamp(), one.key)
    since = grip.running_since or grip.wanted_at or now
    if now - since < turn:
        return (0, since.timestamp(), one.key)
    return (2, -since.timestamp(), one.key)


def _only_counted(one: Claimant) -> tuple[CapKey, ...]:
    return tuple(cap for cap in one.counted if cap not in one.caps)


def _held(one: Claimant) -> float:
    assert one.car.grip.held_w is not None
    return one.car.grip.held_w


def _whole(share: Share) -> float:
    """Whole watts, downwards: what is sent is never more than the share."""
    return share.watts if share.cap is None else float(math.floor(share.watts + ROUNDING))


def _less(room: Room, taken: Iterable[tuple[Sequence[CapKey], float]]) -> dict[CapKey, float]:
    used = used_w(taken)
    return {cap: watts - used.get(cap, 0.0) for cap, watts in room.items()}
