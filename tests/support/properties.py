"""What property-based tests share: quick settings, and JSON as it may come from outside."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Wide enough to find what is wrong, without the time limits that a busy machine breaks."""

texts = st.text(alphabet="aZ09 ._$[]é\n\x00\ud800\N{GRINNING FACE}", max_size=8)
"""Short texts of all kinds of characters; a whole plane of Unicode takes seconds to set up."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
