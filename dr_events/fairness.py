"""What would be fair under caps if everybody took up what he is given: max-min over what each can
take, its 6 A floor and its turn, the highest priority first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chargers.electricity import ROUNDING
from dr_events.claimants import Claimant
from dr_events.orders import LOWEST_RANK
from dr_events.sharing import NOTHING, Claim, Room, Share, admit, fill, used_w


def fair(claimants: Sequence[Claimant], room: Room) -> dict[int, Share]:
    """The share of each claimant; they are given in the order of the queue.

    The highest priority is served first; of what they share with it, the others keep theirs
    meanwhile. Who is bound by no cap has all that it is allowed.
    """
    found: dict[int, Share] = {}
    left = dict(room)
    for one in claimants:
        if not one.caps:
            _give(one, Share(one.ceiling_w), found, left)
    waiting = capped = [one for one in claimants if one.caps]
    while waiting:
        shares = _filled(waiting, left)
        rank = _served_up_to(waiting)
        for one in waiting:
            if one.rank <= rank:
                _give(one, shares.get(one.key, NOTHING), found, left)
        waiting = [one for one in waiting if one.rank > rank]
    _come_down(capped, found, left)
    return found


def _served_up_to(waiting: Iterable[Claimant]) -> int:
    """Up to which rank the shares hold: those after it have less than they seem to, where
    somebody of it uses room of a cap of theirs that does not bind him."""
    return min((one.rank for one in waiting if one.only_counted), default=LOWEST_RANK)


def _filled(
    claimants: Sequence[Claimant], room: Room, most: Mapping[int, Share] | None = None
) -> dict[int, Share]:
    """Their shares by what each can take or, where that is given, by what it has at most."""
    claims = (
        Claim(
            one.key,
            one.least_w,
            most[one.key].watts if most else one.ceiling_w,
            one.caps,
            one.turn_w,
        )
        for one in claimants
    )
    return fill(admit(claims, room), room)


def _give(one: Claimant, share: Share, found: dict[int, Share], left: dict[int, float]) -> None:
    watts = one.whole(share.watts)
    waited_for = one.caps[0] if share is NOTHING and one.most_w > 0 else share.cap
    found[one.key] = Share(watts, waited_for)
    for cap in one.counted:
        left[cap] -= watts


def _come_down(capped: Sequence[Claimant], found: dict[int, Share], left: dict[int, float]) -> None:
    """Where somebody uses room of a cap that he is excused from, under an order of the same or a
    lower priority, those whom the cap binds had been given that room before."""
    over = {cap for cap, watts in left.items() if watts < -ROUNDING}
    bound = [one for one in capped if not over.isdisjoint(one.caps)]
    if not bound:
        return
    room = less(left, ((one.caps, -found[one.key].watts) for one in bound))
    shares = _filled(bound, room, most=found)
    for one in bound:
        share = shares.get(one.key, NOTHING)
        if share.watts < found[one.key].watts:
            _give(one, share, found, left)


def less(room: Room, taken: Iterable[tuple[Sequence[int], float]]) -> dict[int, float]:
    """The room without what is taken of it, by the caps of each car and its watts."""
    used = used_w(taken)
    return {cap: watts - used.get(cap, 0.0) for cap, watts in room.items()}
