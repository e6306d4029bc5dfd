"""Where every artefact lives. No other module joins a folder name."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from galtools import artefacts
from galtools.errors import GaltoolsError
from galtools.models import check_profile

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
WORKFLOW = ROOT / "workflow"
REFERENCE = ROOT / "book" / "reference"  # tables and small weights that a GPU run left
CHAPTERS = {"flux_corrected": "36_keeping_redshift"}  # of models whose chapter has not their name


def check_models(models) -> list[str]:
    """Return the names of translators if there are any and each is given once."""
    if not models or len(set(models)) < len(models):
        raise GaltoolsError(f"models = {models}: name at least one translator, and each once")
    return list(models)


def profile_values(profile: str, notebook: str) -> dict:
    """Parameters that a profile changes in a notebook, from workflow/<profile>.yaml."""
    file = WORKFLOW / f"{check_profile(profile)}.yaml"
    try:
        return {**(_parsed(file.read_text()).get(notebook) or {})}
    except FileNotFoundError:
        raise GaltoolsError(
            f"{file} is missing: install galtools out of its repository, `pip install -e .`"
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise GaltoolsError(f"workflow/{file.name}, line {line}: {error.problem}") from error


@cache
def _parsed(text: str) -> dict:
    """Content of a profile, parsed once: a grid asks for it at every run."""
    return yaml.safe_load(text) or {}


@dataclass(frozen=True)
class Results:
    """The artefacts of one profile: `Results(results, profile)`.

    A relative path starts at the working directory. An empty one is `results` in the repository,
    wherever the notebook is run from, or in the working directory where there is no repository.
    """

    results: str = ""
    profile: str = "quick"
    kept: bool = True  # kept weights, once brought in, replace those trained here

    @property
    def folder(self) -> Path:
        """Folder of this profile."""
        home = ROOT / "results" if NOTEBOOKS.is_dir() else Path("results")
        return Path(self.results or home).absolute() / check_profile(self.profile)

    def data(self, split: str) -> Path:
        """Pairs of one split: 'train', 'valid', 'test', or 'again' (the test galaxies anew)."""
        return self.folder / "data" / f"{split}.h5"

    def model(self, task: str, model: str, seed: int = 0) -> Path:
        """Folder of one training: weights.safetensors, metrics.json, history.csv."""
        kept = self.kept_model(task, model, seed)
        there = self.kept and (kept / "weights.safetensors").exists()
        return kept if there else kept.with_name(f"seed{seed}")

    def kept_model(self, task: str, model: str, seed: int = 0) -> Path:
        """Folder into which kept weights are brought (`companion.long_trainings`)."""
        return self.folder / "models" / task / model / f"kept{seed}"

    def weights(self, task: str, model: str, seed: int = 0) -> Path:
        """Weights of one training."""
        return self.model(task, model, seed) / "weights.safetensors"

    def translations(self, task: str, model: str, seed: int = 0) -> Path:
        """Translated test images of one model."""
        name = self.model(task, model, seed).name
        return self.folder / "translations" / task / model / f"{name}.h5"

    def table(self, name: str) -> Path:
        """One table of results, `name` without its ending."""
        return self.folder / "tables" / f"{name}.csv"


def need(path: Path, notebook: str, *inputs: Path) -> Path:
    """Return `path` if it is there; else say which notebook makes it, with _intra for that task.

    With `inputs`, it has to be made from these very files (see `artefacts.check_inputs`).
    """
    chapter, intra, _ = notebook.partition("_intra")
    run = f"run notebooks/{chapter}.py{' with -p task intra' if intra else ''}"
    if not Path(path).exists():
        raise GaltoolsError(
            f"{path} is missing: {run} first, with the same profile, results folder, task and seed "
            "(those that it has), or `make book`; in a grid, list it above, under `needs` here"
        )
    if inputs:
        artefacts.check_inputs(path, *inputs, advice=f"{run} again")
    return Path(path)


def need_of(path: Path, model: str, *inputs: Path) -> Path:
    """Return what the chapter of a translator makes, or say which chapter that is; see `need`."""
    if Path(path).exists() and not inputs:
        return Path(path)
    files = sorted(NOTEBOOKS.glob(f"1?_{model}.py"))
    chapter = files[0].stem if files else CHAPTERS.get(model)
    if chapter is None:
        raise GaltoolsError(f"{path} is missing, and no chapter trains {model!r}: check its name")
    return need(path, chapter, *inputs)


def need_translations(store: Results, task: str, model: str, seed: int = 0) -> Path:
    """Translations of the test galaxies at hand, by the weights at hand, if those are kept."""
    path, weights = store.translations(task, model, seed), store.weights(task, model, seed)
    test = need(store.data("test"), "01_two_surveys")
    if path.stem.startswith("kept"):
        return need(path, "17_long_trainings", test, weights)
    return need_of(path, model, test, *([weights] if weights.exists() else []))


def keep_seed(path: Path, seed: int) -> Path:
    """Return the path of data to be made, unless it holds those of another seed."""
    if artefacts.is_whole(path) and (made := artefacts.read_manifest(path)["seed"]) != seed:
        raise GaltoolsError(
            f"{path} is of seed {made}, and all chapters here follow from it: give seed {seed} a "
            "folder of its own, with -p results FOLDER"
        )
    return path


def check_seed(path: Path, seed: int) -> Path:
    """Return the path of an artefact that was made with this seed, or say which seed it was.

    One that was edited since is refused.
    """
    if (made := artefacts.read_manifest(path)["seed"]) != seed:
        raise GaltoolsError(
            f"{path} is of seed {made}: run this with -p seed {made}, or what made it with {seed}"
        )
    return artefacts.check_inputs(path, advice="run the notebook that makes it again")
