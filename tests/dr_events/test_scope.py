"""Which sessions a target of each type names: to plan them all, and for each car that comes."""

import pytest
from django.utils import timezone

from dr_events import intake, scope
from dr_events.models import Event
from tests import large_fleet
from tests.dr_events import story

# Of 200 sessions, all on one feeder; the first site has 24 stations, with two cars at each but the
# first of them.
NAMED = {
    ("all", ""): 200,
    ("grid_zone", "North"): 200,
    ("substation", "Millbrook"): 200,
    ("feeder", "F0"): 200,
    ("site", "site-1"): 47,
    ("chargestation", "station-7"): 2,
    ("session", f"{7:024x}"): 1,
}


@pytest.mark.parametrize(("target", "sessions"), NAMED.items(), ids=lambda value: str(value))
@pytest.mark.django_db
def test_a_target_names_the_same_sessions_for_the_plan_and_for_a_car_that_comes(target, sessions):
    large_fleet.fill(200)
    said = story.declaration(
        targets=[{"type": target[0], **({"value": target[1]} if target[1] else {})}]
    )
    event = intake.declare(said, actor=story.OPERATOR, now=timezone.now()).event
    assert event.status == Event.Status.ACTIVE

    found = scope.sessions_of([target])

    assert len(set(found)) == len(found) == sessions
    assert scope.pairs_for(range(1, 201)) == {(event.id, session_id) for session_id in found}
    assert scope.unmatched([target]) == []
    assert not scope.is_empty([target])


@pytest.mark.parametrize("type_", [type_ for type_, _ in NAMED if type_ != "all"])
@pytest.mark.django_db
def test_what_is_unknown_names_nothing(type_):
    large_fleet.fill(200)

    assert scope.sessions_of([(type_, "nowhere")]) == []
    assert scope.unmatched([(type_, "nowhere"), ("site", "site-1")]) == [(type_, "nowhere")]
    assert scope.is_empty([(type_, "nowhere")])


@pytest.mark.django_db
def test_several_targets_name_each_session_once():
    large_fleet.fill(200)

    found = scope.sessions_of([("site", "site-1"), ("feeder", "F0"), ("session", f"{7:024x}")])

    assert sorted(found) == list(range(1, 201))
