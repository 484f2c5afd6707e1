"""Sharing caps among cars that are charging: what is fair, what of that is worth a command, and
what of that is safe now. Pure.

    fair     max-min over what each can take, its 6 A floor, its turn        `fairness`
    worth it small changes wait; what nobody needs is not taken away         `_worth_it`
    safe     what one frees is confirmed before another is given it          `_safe`

So at every moment what the limits in force allow, together with all those on their way, is within
the cap, as soon as it once was; and while it is not, no raise adds to it. A session that has not
answered counts at its old allowance, one without a confirmed limit at all that its connector
gives. What nobody can hold makes room for itself, and can take the sum over the cap until the
others are confirmed to have made way:

    free     exempt, excused, or let go by its order: what it draws or, where that is not metered,
             all that its connector gives
    stuck    the most of what it draws, what it was told before and what it is told now
    outranked  what an order of a higher priority allows it at once, or another one if it is
             excused: it counts under the cap, and waits for nobody
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from chargers.electricity import ROUNDING
from dr_events.claimants import Claimant, place, turn_began_at
from dr_events.fairness import fair, less
from dr_events.orders import Rules
from dr_events.sharing import NOTHING, CapNumber, Claim, Room, Share, admit, fill, used_w

Watts: TypeAlias = dict[int, float]


@dataclass(frozen=True, slots=True)
class Allotment:
    """What a car may have now, the cap that keeps it from more, and what it waits for: its
    `turn`, or `room` that others have not yet been confirmed to give up."""

    watts: float
    cap: CapNumber | None = None
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
        key=lambda one: place(one, rules.turn, now),
    )
    left = less(room, ((one.counted, one.free_w or 0.0) for one in free))
    stuck = [one for one in held if one.car.grip.is_stuck]
    if not stuck:
        return _Round(held, left, rules, now).allotted()
    told = _Round(held, left, rules, now).told(stuck)
    taken = ((one.counted, max(one.stuck_w, told[one.key].watts)) for one in stuck)
    movable = [one for one in held if not one.car.grip.is_stuck]
    allotted = _Round(movable, less(left, taken), rules, now).allotted()
    return Allotted(told | allotted.shares, allotted.again_at)


class _Round:
    """One allocation, over claimants in the order of their turns."""

    def __init__(
        self, claimants: Sequence[Claimant], room: Room, rules: Rules, now: datetime
    ) -> None:
        self.claimants, self.room, self.rules, self.now = claimants, room, rules, now
        self.fair = fair(claimants, room)
        self.again: list[datetime] = []

    def allotted(self) -> Allotted:
        kept = self._worth_it()
        granted = self._safe(kept)
        shares = {
            one.key: Allotment(
                granted[one.key], self.fair[one.key].cap, self._waits(one, kept, granted)
            )
            for one in self.claimants
        }
        self._note_next_turn(shares)
        return Allotted(shares, min(self.again, default=None))

    def told(self, stuck: Sequence[Claimant]) -> dict[int, Allotment]:
        """What those that are stuck are told: their share as though they obeyed and all others had
        theirs, yet no more than they have, since nobody knows when they will act on it."""
        kept = {key: share.watts for key, share in self.fair.items()}
        kept |= {one.key: self._kept(one) for one in stuck}
        self._reclaim(kept)
        return {
            one.key: Allotment(_no_raise(one, kept[one.key]), self.fair[one.key].cap)
            for one in stuck
        }

    def _waits(self, one: Claimant, kept: Watts, granted: Watts) -> str:
        if one.most_w > 0 and not self.fair[one.key].watts:
            return "turn"
        return "room" if granted[one.key] < kept[one.key] - ROUNDING else ""

    # --- worth it -------------------------------------------------------------------------

    def _worth_it(self) -> Watts:
        """Small changes are not made; what is not needed by others is left to whoever has it;
        newcomers are given what would be left over."""
        kept = {one.key: self._kept(one) for one in self.claimants}
        self._reclaim(kept)
        newcomers = [
            Claim(one.key, kept[one.key], one.most_w, one.counted)
            for one in self.claimants
            if one.car.grip.wanted is None and kept[one.key] > 0
        ]
        if newcomers:
            mine = {claim.key for claim in newcomers}
            others = ((one.counted, kept[one.key]) for one in self.claimants if one.key not in mine)
            shares = fill(newcomers, less(self.room, others))
            kept |= {one.key: _granted(one, shares) for one in self.claimants if one.key in mine}
        return kept

    def _kept(self, one: Claimant) -> float:
        fair_w, now_w = self.fair[one.key].watts, one.car.wanted_w
        if not one.caps or not now_w or not fair_w or now_w > one.most_w + ROUNDING:
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
        """Where that is too much, those who have most above their fair share come down to it,
        also where they only count: what they do not use is nobody's by right."""
        used = used_w((one.counted, kept[one.key]) for one in self.claimants)
        over = {cap for cap, watts in used.items() if watts > self.room[cap] + ROUNDING}
        if not over:
            return
        surplus = [
            (self.fair[one.key].watts - kept[one.key], one)
            for one in self.claimants
            if kept[one.key] > self.fair[one.key].watts and not over.isdisjoint(one.counted)
        ]
        for less_w, one in sorted(surplus, key=lambda pair: (pair[0], pair[1].key)):
            if any(used[cap] > self.room[cap] + ROUNDING for cap in one.counted):
                kept[one.key] += less_w
                for cap in one.counted:
                    used[cap] += less_w

    # --- safe -----------------------------------------------------------------------------

    def _safe(self, kept: Watts) -> Watts:
        """Who has less coming has it at once; who has more coming waits for the room. What no
        cap binds waits for nobody, so it counts at what it will have."""
        fresh = [one for one in self.claimants if one.car.held_w is None]
        limited = [one for one in self.claimants if one.car.held_w is not None]
        rising = [one for one in limited if one.caps and kept[one.key] > _held(one) + ROUNDING]
        granted = dict(kept)
        if fresh:
            granted |= self._admitted_fresh(fresh, limited, kept)
        if rising:
            granted |= self._raised(rising, fresh, limited, granted)
        return granted

    def _admitted_fresh(
        self, fresh: Sequence[Claimant], limited: Sequence[Claimant], kept: Watts
    ) -> Watts:
        """Sessions without a limit, which is the most there is: they get one at once, and what
        the others are confirmed to leave."""
        taken = [(one.caps, _held(one)) for one in limited]
        taken += [(one.only_counted, max(_held(one), kept[one.key])) for one in limited]
        taken += [(one.only_counted, kept[one.key]) for one in fresh]
        room = less(self.room, taken)
        claims = [
            Claim(one.key, min(one.least_w, kept[one.key]), kept[one.key], one.caps)
            for one in fresh
        ]
        shares = fill(admit(claims, room), room)
        return {one.key: _granted(one, shares) for one in fresh}

    def _raised(
        self,
        rising: Sequence[Claimant],
        fresh: Sequence[Claimant],
        limited: Sequence[Claimant],
        granted: Watts,
    ) -> Watts:
        """Nobody is raised before his first limit is confirmed: he may be drawing all there is."""
        climbers = [one for one in rising if not one.car.grip.is_loose]
        taken = [(one.caps, one.in_force_w) for one in limited]
        taken += [(one.only_counted, max(one.in_force_w, granted[one.key])) for one in limited]
        taken += [(one.counted, max(one.car.full_w, granted[one.key])) for one in fresh]
        left = less(self.room, taken)
        more = [
            Claim(one.key, max(one.least_w - _held(one), 0.0), granted[one.key], one.caps)
            for one in climbers
        ]
        can_rise = {claim.key for claim in admit(more, left)}
        claims = [
            Claim(one.key, max(one.least_w, _held(one)), granted[one.key], one.caps)
            for one in climbers
            if one.key in can_rise
        ]
        given_back = ((one.caps, -_held(one)) for one in climbers if one.key in can_rise)
        shares = fill(claims, less(left, given_back))
        return {one.key: one.car.wanted_w or 0.0 for one in rising} | {
            one.key: self._worth_raising(one, _granted(one, shares), granted[one.key])
            for one in climbers
            if one.key in can_rise
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
        ends = [
            turn_began_at(one.running_since, self.rules.turn, self.now) + self.rules.turn
            for one in self.claimants
            if shares[one.key].watts and one.running_since
        ]
        self.again.append(min(ends, default=self.now + self.rules.turn))


def _no_raise(one: Claimant, watts: float) -> float:
    now_w = one.car.wanted_w
    return watts if now_w is None or not one.caps else min(watts, now_w)


def _held(one: Claimant) -> float:
    assert one.car.held_w is not None
    return one.car.held_w


def _granted(one: Claimant, shares: Mapping[int, Share]) -> float:
    return one.whole(shares.get(one.key, NOTHING).watts)
