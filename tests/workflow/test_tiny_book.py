"""The tiny book as `make test` built it: all chapters ran, nothing reruns, nothing retrains."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from galtools import artefacts

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = yaml.safe_load((ROOT / "workflow" / "chapters.yaml").read_text())
sys.path.insert(0, str(ROOT / "workflow"))
import pipeline  # noqa: E402

RUNS = list(pipeline.load("tiny", ROOT))  # those of kept weights only where some are kept
SECOND = {run for run in RUNS if (CHAPTERS[run] or {}).get("notebook", run) != run}

pytestmark = pytest.mark.pipeline


def build(project: Path, results: Path, out: Path) -> list[str]:
    """Build the notebooks of a project; name those that were executed."""
    command = [sys.executable, str(project / "workflow" / "build.py"), "--no-pages"]
    done = subprocess.run(
        [*command, "--profile", "tiny", "--results", str(results), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"finished (\w+)", done.stdout)


def test_every_notebook_is_a_run_and_a_page():
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    assert notebooks == {(entry or {}).get("notebook", run) for run, entry in CHAPTERS.items()}
    contents = (ROOT / "book" / "_toc.yml").read_text()
    assert sorted(re.findall(r"notebooks/(\w+)", contents)) == sorted(notebooks)


def test_every_run_has_a_record_of_how_it_was_made(tiny):
    for run in RUNS:
        record = artefacts.read_manifest(tiny / "results" / "tiny" / "notebooks" / f"{run}.ipynb")
        assert record["profile"] == "tiny"
        assert {"key", "seed", "packages", "device", "seconds", "artefacts"} <= record.keys()


def test_every_artefact_is_whole_and_has_a_manifest(tiny):
    results = tiny / "results" / "tiny"
    kept = ("data", "models", "translations", "tables")
    made = [path for name in kept for path in (results / name).rglob("[!.]*")]
    made = [path for path in made if path.suffix in {".h5", ".safetensors", ".csv"}]
    made = [path for path in made if "published" not in path.parts]  # a mock survey's own files
    with_manifest = [path for path in made if artefacts.manifest_path(path).exists()]
    beside_weights = {"history.csv", "metrics.json"}  # named in the manifest of their weights
    assert {path.name for path in made if path not in with_manifest} <= beside_weights
    assert with_manifest
    assert all(artefacts.is_whole(path) for path in with_manifest)


def test_no_page_shows_an_error_or_a_lost_number(tiny):
    for run in set(RUNS) - SECOND:
        page = nbformat.read(tiny / "_build" / "stage" / "notebooks" / f"{run}.ipynb", as_version=4)
        kinds = [o.output_type for c in page.cells if c.cell_type == "code" for o in c.outputs]
        assert "error" not in kinds
        assert "site-packages" not in str(page.cells)  # a warning, with a path of this machine
        html = (tiny / "_build" / "html" / "notebooks" / f"{run}.html").read_text()
        assert "How these results were made" in html
        assert "glue:" not in re.sub(r"<pre.*?</pre>", "", html, flags=re.DOTALL)


def test_second_runs_are_sections_of_their_chapters(tiny):
    html = tiny / "_build" / "html"
    for run in SECOND:
        page = (html / "notebooks" / f"{CHAPTERS[run]['notebook']}.html").read_text()
        within = page.split('<section id="within-sdss">')[1].split("</section>")[0]
        assert f"../executed/{run}.ipynb" in within
        assert "intra" in within and "<figure" in within and "How these results were made" in within
        shown = re.findall(r'<figure[^>]*id="(fig-[^"]+)"', page)
        assert len(shown) == len(set(shown))


def test_no_page_shows_a_negative_zero(tiny):
    for page in (tiny / "_build" / "html" / "notebooks").glob("*.html"):
        hidden = r"<(script|style).*?</\1>|<[^>]+>"
        text = re.sub(hidden, " ", page.read_text(), flags=re.DOTALL)
        assert not re.findall(r"(?<![\w.)])[-−]0(?:\.0+)?(?![\d.\w])", text), page.name


def test_a_new_style_of_plots_retrains_no_model(tiny, tmp_path):
    """After an edit of plotting.py the chapters run again, but train nothing."""
    project, results = tmp_path / "project", tmp_path / "results"
    for name in ("galtools", "companion", "workflow", "notebooks", "book"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    keep = {name: CHAPTERS[name] for name in ("01_two_surveys", "11_residual")}
    (project / "workflow" / "chapters.yaml").write_text(yaml.safe_dump(keep, sort_keys=False))
    shutil.copytree(tiny / "results", results)
    weights = results / "tiny" / "models" / "cross" / "residual" / "seed0" / "weights.safetensors"
    before = json.loads(artefacts.manifest_path(weights).read_text())
    with open(project / "companion" / "plotting.py", "a") as file:
        file.write("\nNEW_COLOUR = 'tab:pink'\n")
    assert set(build(project, results, tmp_path)) == set(keep)
    assert json.loads(artefacts.manifest_path(weights).read_text()) == before
    assert build(project, results, tmp_path) == []
