# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Two surveys, one galaxy
#
# How different does one and the same galaxy look in two surveys, and how much of that difference
# could a translation ever undo?

# %%
from galtools import data, manifest, paths, simulate

# %% tags=["parameters"]
profile: str = "quick"  # tiny, quick or paper; with papermill it also sets the values below
seed: int = 0  # every random number follows from it
results: str = "results"  # folder of all artefacts
n_train: int = 3000  # galaxies in the training split
n_valid: int = 300  # galaxies in the validation split
n_test: int = 600  # galaxies in the test split
grid: str = "sdss"  # pixels of CFHTLS: native (136 x 136), or those of SDSS (64 x 64)
workers: int = 2  # processes that simulate

# %% [markdown]
# ## The four samples
#
# Galaxies have numbers. The splits take consecutive ranges of them, so that no galaxy is in two
# splits; `again` holds the galaxies of `test`, observed a second time.

# %%
files = paths.Results(results, profile)
splits = {
    "train": {"n": n_train, "start": 0},
    "valid": {"n": n_valid, "start": n_train},
    "test": {"n": n_test, "start": n_train + n_valid},
    "again": {"n": n_test, "start": n_train + n_valid, "observation": 1},
}
for split, options in splits.items():
    params = {**options, "grid": grid}
    manifest.make(
        files.data(split),
        lambda path, params=params, split=split: data.save(
            simulate.stream(**params, seed=seed, workers=workers),
            path,
            split="test" if split == "again" else split,
            provenance={"simulation": params, "seed": seed},
        ),
        params=params,
        seed=seed,
        modules=["galtools.simulate", "galtools.data"],
    )
