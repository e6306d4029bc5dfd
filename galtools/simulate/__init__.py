"""Matched pairs: the same galaxy seen by two surveys, its truth known, as often as one asks.

`pairs` gives them all at once, `stream` block by block for samples larger than the memory.
"""

from galtools.simulate.sample import pairs, stream

__all__ = ["pairs", "stream"]
