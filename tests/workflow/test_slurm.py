"""A grid on a real Slurm cluster, which loses a job and a node on the way."""

import re
import subprocess
import tempfile
from pathlib import Path

import pytest
import slurm_cluster
from test_grid import GridProject

WHY_NOT = slurm_cluster.missing()
pytestmark = [
    pytest.mark.notebook,
    pytest.mark.skipif(bool(WHY_NOT), reason=f"no Slurm cluster here: {WHY_NOT}"),
]
WORD = "$(touch pwned)"
RUNS = {"words": {"notebook": "1_words", "parameters": {"seed": [1, 2, 3], "word": WORD}}}


@pytest.fixture
def cluster():
    """Three nodes; a socket's path is at most 108 characters long, so their folder is near /."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = slurm_cluster.Cluster(Path(folder) / "c", nodes=3)
        yield cluster
        cluster.stop()


def test_a_killed_job_and_a_killed_node_cost_nothing(tmp_path, cluster):
    project = GridProject(tmp_path / "a project")
    hold = project.folder / "hold"
    hold.touch()  # the first notebooks run until it is gone, so that they can be killed at work
    wait = f"\nimport time\nwhile os.path.exists({str(hold)!r}):\n    time.sleep(0.1)\n"
    project.edit("notebooks/1_words.py", "import os\n", f"import os\n{wait}")
    profile = project.folder / "workflow" / "slurm"
    options = ("--on", str(profile))
    quick = (profile / "config.yaml").read_text()
    quick = re.sub(r"status-checks: \d+", "status-checks: 1", quick)
    (profile / "config.yaml").write_text(quick)
    environment = {**project.environment(), **cluster.environment}
    environment["EXECUTIONS"] = str(project.executions)
    process = subprocess.Popen(
        project.grid_command(RUNS, *options), env=environment, cwd=project.folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip

    def running() -> dict[str, str]:
        lines = cluster.ask("squeue", "-h", "-t", "R", "-o", "%i %N").splitlines()
        return dict(line.split() for line in lines)

    def notebooks_at_work() -> bool:
        locks = project.results.glob("runs/1_words*/tiny/.done/*.lock")
        return len(list(locks)) == 3 and len(running()) == 3

    try:
        cluster.wait("three jobs at work", notebooks_at_work)
        (first, _), (second, node), _ = running().items()
        cluster.ask("scancel", "--signal=KILL", "--full", first)
        cluster.kill(node)
        hold.unlink()
        output, _ = process.communicate(timeout=1800)
    finally:
        process.kill()
    log = (project.results / "grids" / "my" / "snakemake.log").read_text()
    assert process.returncode == 0, output + log
    assert output.strip().splitlines()[-1].startswith("3 of 3 runs are done")
    each_once = [f"words {k} {len(WORD)}" for k in (1, 2, 3)]
    assert project.executed() == each_once  # whatever was killed
    assert list(project.folder.rglob("pwned")) == []
    assert f"SLURM-job '{first}' failed" in log  # the kill was noticed, and the run sent again
    lost = cluster.ask("scontrol", "show", "job", second)
    assert re.search(r"Restarts=[1-9]", lost), lost  # Slurm itself sent it to another node
    assert f"NodeList={node}\n" not in lost
