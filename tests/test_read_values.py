"""The key of an artefact knows every value that its maker reads, or the maker is refused."""

import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from astropy import units
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from companion import paths
from galtools import artefacts, data, models, provenance, surveys
from galtools.data.pairs import ImageSet
from galtools.errors import GaltoolsError


def read_values(maker, path="made.csv", **options):
    return provenance.read_values(maker, Path(path), **options)[0]


def cells(text, **values):
    """Names that the cells of a notebook define."""
    names = {"__name__": "__main__", **values}
    exec(text, names)
    return names


def reading(value, **options):
    """Digest of what a notebook's maker reads as the global `value`."""
    maker = cells("def maker(path): path.write_text(str(value))", value=value)["maker"]
    return read_values(maker, **options)["value"]


@dataclass
class Sample:
    """As `ComparisonSet` and `Study`: fields, and what is derived from them once."""

    images: np.ndarray
    name: str = "a"

    @cached_property
    def mean(self):
        return self.images.mean()


def repr_of_kind(value):
    return getattr(value, "__name__", type(value).__name__)


class Plain:
    def __init__(self, value):
        self.value = value


def image_set(**changes):
    images = changes.pop("images", np.ones((2, 5, 4, 4)))
    return ImageSet.of(surveys.SDSS, images, np.ones((2, 5)), **changes)


def network(**changes):
    torch.manual_seed(0)
    made = models.build("residual", "cross", "tiny")
    for name, value in changes.items():
        made.recipe[name] = value
    return made


def trained():
    made = network()
    with torch.no_grad():
        next(made.parameters())[0].mul_(1.001)
    return made


def fast(x):
    return partial(np.add, x)


FRAME = pd.DataFrame({"row": ["truth", "swin"], "value": [1.0, np.nan]})
CASES = {  # name: (a value made anew at every call, another one)
    "int": (lambda: 2, lambda: 3),
    "int and float": (lambda: 2, lambda: 2.0),
    "int and bool": (lambda: 1, lambda: True),
    "sign of zero": (lambda: 0.0, lambda: -0.0),
    "nan": (lambda: float("nan"), lambda: None),
    "text and bytes": (lambda: "a", lambda: b"a"),
    "list": (lambda: [1, [2, 3]], lambda: [1, [2], 3]),
    "order of a list": (lambda: [1, 2], lambda: [2, 1]),
    "set": (lambda: set("abcdef"), lambda: set("abcde")),
    "key of a dict": (lambda: {1: "a"}, lambda: {"1": "a"}),
    "order of a dict": (lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}),
    "slice": (lambda: slice(3), lambda: slice(4)),
    "array": (lambda: np.arange(1e4), lambda: np.arange(1e4) + (np.arange(1e4) == 5e3)),
    "type of an array": (lambda: np.zeros(4, "f4"), lambda: np.zeros(2, "f8")),
    "shape of an array": (lambda: np.zeros((2, 3)), lambda: np.zeros((3, 2))),
    "view of an array": (lambda: np.arange(6)[::2], lambda: np.arange(6)[1::2]),
    "array of objects": (lambda: np.array(["a", None]), lambda: np.array(["a", 0], object)),
    "number of numpy": (lambda: np.float32(2), lambda: np.float32(3)),
    "masked array": (
        lambda: np.ma.array([1, 2], mask=[0, 1]),
        lambda: np.ma.array([1, 2], mask=[1, 0]),
    ),
    "tensor": (lambda: torch.arange(3.0), lambda: torch.arange(3.0) * 2),
    "frame": (lambda: FRAME.copy(), lambda: FRAME.assign(value=[1.0, 2.0])),
    "column's name": (lambda: FRAME.copy(), lambda: FRAME.rename(columns={"row": "name"})),
    "index of a frame": (lambda: FRAME.copy(), lambda: FRAME.set_index("row", drop=False)),
    "series": (lambda: FRAME.value.copy(), lambda: FRAME.value.rename("other")),
    "table": (lambda: Table({"z": [0.1]}), lambda: Table({"z": [0.2]})),
    "unit": (lambda: [1, 2] * units.nJy, lambda: [1, 2] * units.Jy),
    "images": (image_set, lambda: image_set(images=np.full((2, 5, 4, 4), 2))),
    "mask": (image_set, lambda: image_set(mask=np.ones((2, 5, 4, 4), "u1"))),
    "name of a sample": (lambda: Sample(np.ones(2)), lambda: Sample(np.ones(2), "b")),
    "plain object": (lambda: Plain([1]), lambda: Plain([2])),
    "weights": (network, trained),
    "recipe": (network, lambda: network(task="intra")),
    "partial": (lambda: fast(1), lambda: fast(2)),
    "function of the library": (lambda: data.save, lambda: data.load),
    "class of the library": (lambda: data.Pairs, lambda: data.ImageSet),
    "method": (lambda: Plain(1).__init__, lambda: Plain(2).__init__),
    "object within a function": (lambda: Plain(lambda: 1), lambda: Plain(lambda: 2)),
    "ufunc": (lambda: np.add, lambda: np.subtract),
    "generator": (lambda: np.random.default_rng(1), lambda: np.random.default_rng(2)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_value_that_changes_changes_the_key_and_an_equal_one_does_not(case):
    value, other = CASES[case]
    assert reading(value()) == reading(value())
    assert reading(value()) != reading(other())


SIMPLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.text()),
    max_leaves=6,
)


@given(SIMPLE, SIMPLE)
def test_only_equal_values_have_equal_digests(one, other):
    assert (reading(one) == reading(other)) == (repr_of(one) == repr_of(other))


def repr_of(thing):
    """Text of plain values in which sets have an order."""
    if isinstance(thing, frozenset):
        return f"set {sorted(thing)}"
    if isinstance(thing, dict):
        return f"dict {[(key, repr_of(value)) for key, value in thing.items()]}"
    return repr([repr_of(item) for item in thing] if isinstance(thing, list) else thing)


def test_what_was_derived_from_a_sample_does_not_count():
    one, other = Sample(np.ones(2)), Sample(np.ones(2))
    assert other.mean == 1
    assert reading(one) == reading(other)


CHAIN = """
shift = {shift}
align = {align}

@lru_cache
def aligned(x):
    '''{doc}'''
    return {sum}

def within(scale={scale}):
    inner = lambda x: aligned(x) * scale + factor
    factor = {factor}
    return inner

maker = within()
"""
CHAIN_VALUES = {
    "shift": 0, "align": 1, "scale": 2, "factor": 3, "doc": "What it is.", "sum": "x + align",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"doc": "What else."}, True),
        ({"sum": "x+align  # a remark"}, True),
        ({"sum": "x - align"}, False),
        ({"shift": 5}, True),  # nobody reads it
        ({"align": 5}, False),
        ({"scale": 5}, False),
        ({"factor": 5}, False),
    ],
)
def test_globals_closures_and_defaults_are_followed(changed, same):
    found = [
        read_values(cells(CHAIN.format(**CHAIN_VALUES | more), lru_cache=lru_cache)["maker"])
        for more in ({}, changed)
    ]
    assert set(found[0]) == {"maker", "defaults", "aligned", "scale", "factor"}
    assert (found[0] == found[1]) is same


def test_an_attribute_is_not_taken_for_a_global_of_its_name():
    text = "def maker(path): return path.images"
    assert set(read_values(cells(text, images=1)["maker"])) == {"maker", "defaults"}


def test_a_function_may_call_itself():
    text = "def maker(n): return helper(n)\ndef helper(n): return helper(n - {}) if n else 0"
    one, same, other = (read_values(cells(text.format(n))["maker"]) for n in (1, 1, 2))
    assert one == same != other


def test_values_are_the_same_in_another_process():
    """Hashes of texts differ from process to process, and with them the order of sets."""
    code = (
        "from pathlib import Path\nfrom galtools import provenance\n"
        "names = {'__name__': '__main__', 'kept': {'u', 'g', 'r', 'i', 'z'}}\n"
        'exec(\'def maker(path): return [b in {"a", "b", "c"} for b in kept]\', names)\n'
        "print(provenance.read_values(names['maker'], Path('a')))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": paths.ROOT},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in "123"
    }  # fmt: skip
    assert len(found) == 1


# --- what is found, what is refused, and what does not count


@pytest.mark.parametrize("value", [data, data.save, data.Pairs, image_set()], ids=repr_of_kind)
def test_modules_that_are_used_are_found(value):
    maker = cells("def maker(path): return value", value=value)["maker"]
    _, used = provenance.read_values(maker, Path("made.csv"))
    assert {name.rpartition(".")[0] or name for name in used} <= {"galtools", "galtools.data"}
    assert "galtools.data.pairs" in artefacts.module_digests(used)


def test_what_only_knows_where_files_lie_does_not_count():
    assert reading(paths.Results("a")) == reading(paths.Results("b"))


LOOP = []
LOOP.append(LOOP)
HERE = cells("class Here: pass")["Here"]


@pytest.mark.parametrize("value", [sys.stdout, LOOP, HERE, HERE()], ids=repr_of_kind)
def test_a_value_without_a_hash_is_refused(value):
    message = f"maker of made.csv reads value, a {type(value).__name__} that has no hash: put what"
    with pytest.raises(GaltoolsError, match=message):
        reading(value)
    maker = cells("def maker(path): path.write_text(str(value))", value=value)["maker"]
    assert read_values(maker, ignore=["value"]).keys() == {"maker", "defaults"}


def test_a_file_counts_by_its_contents(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pairs.h5").write_text(folder)
    one, other = (tmp_path / folder / "pairs.h5" for folder in ("a", "b"))
    assert reading({"test": one}) != reading({"test": other})
    assert reading(one, inputs=[one]) == reading(other, inputs=[other])  # contents are in `inputs`
    assert reading(one, path=one) == reading(tmp_path / "pairs.h5")  # what it makes, later


def test_a_maker_of_a_module_counts_by_its_name_and_its_closure_by_its_values():
    assert set(read_values(data.save)) == {"maker"}
    assert read_values(data.save) != read_values(data.load)


NOTEBOOK = """
def maker(path):
    path.write_text(str(table * factor))

made = artefacts.make(file, maker, params={}, modules=[])
"""


def test_a_changed_global_makes_the_artefact_again(tmp_path):
    given = {"artefacts": artefacts, "file": tmp_path / "made.txt", "table": np.ones(2)}
    keys = [cells(NOTEBOOK, factor=f, **given)["made"]["key"] for f in (1, 1, 2)]
    assert keys[0] == keys[1] != keys[2]
    assert given["file"].read_text() == "[2. 2.]"
