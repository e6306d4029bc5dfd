"""Matched pairs: the same galaxy observed by two surveys, its truth known, as often as one asks.

`pairs` gives them all at once, `stream` block by block for samples larger than the memory;
`sample_scene` and `observe` are the steps within.
"""

from galtools.simulate.matched_pairs import pairs, stream
from galtools.simulate.observation import observe, observing_conditions
from galtools.simulate.scene import sample_scene

__all__ = ["observe", "observing_conditions", "pairs", "sample_scene", "stream"]
