"""What Hypothesis may choose from."""

from hypothesis import strategies as st

REJECTED, UNKNOWN_CALL = {"status": "Rejected"}, {"status": "NotSupported"}
OFFLINE, SLOW = {"error": "station offline"}, {"error": "timeout"}
# How eDRV answers a request, good answers more often than others.
HOW = ("answered", "answered", "answered", "unanswered", "failed", "unreachable", "limited",
       "refused")  # fmt: skip

pick = st.integers(0, 1000)
seconds = st.sampled_from([0.1, 1, 2, 5, 9, 20, 61, 130])
deaths = st.none() | st.integers(1, 40)
verdicts = st.sampled_from([None, None, None, REJECTED, UNKNOWN_CALL, OFFLINE, SLOW])

limits = st.one_of(
    st.builds(
        lambda unit, value: {"kind": "per_session", "unit": unit, "value": value},
        st.just("power"),
        st.sampled_from([0, 4200, 6000, 11_000]),
    ),
    st.builds(
        lambda value: {"kind": "per_session", "unit": "current", "value": value},
        st.sampled_from([3, 7, 16]),
    ),
    st.builds(
        lambda kind, value: {"kind": kind, "unit": "power", "value": value},
        st.sampled_from(["per_event", "per_site", "relief"]),
        st.sampled_from([0, 9000, 20_000]),
    ),
    st.builds(lambda value: {"kind": "percent", "value": value}, st.sampled_from([20, 50])),
)
