"""Works timed in turns: a machine whose speed wanders slows all of them alike."""

import time

import numpy as np


def in_turns(works: dict, turns: int) -> dict[str, np.ndarray]:
    """Seconds of each work in each turn, after one turn to warm up."""
    seconds = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: np.array(each) for name, each in seconds.items()}


def times_faster(slow: np.ndarray, fast: np.ndarray) -> dict:
    """How many times faster, turn by turn: the median, and all turns."""
    ratios = slow / fast
    return {"median": float(np.median(ratios)), "turns": np.round(ratios, 2).tolist()}
