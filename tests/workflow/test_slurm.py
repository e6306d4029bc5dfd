"""A grid on a real Slurm cluster, which loses a job and a node on the way."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import slurm_cluster
from test_distributed import assert_equal_weights, beginning, once, store
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


TRAINING = """
import sys
from test_distributed import Path, once
folder, *files = map(Path, sys.argv[1:])
once(folder, files, "residual")
"""
AGENT = """#!/bin/sh
echo $SLURMD_NODENAME >> nodes.txt
exec "$PYTHON" -m torch.distributed.run "$@"
"""
JOB = """#!/bin/bash
#SBATCH --nodes 2 --ntasks-per-node 1
export GALTOOLS_LAUNCH="srun ./agent.sh --nnodes 2 --nproc-per-node 1 --rdzv-backend c10d \\
    --rdzv-endpoint 127.0.0.1:{port} --local-addr 127.0.0.1"
"$PYTHON" training.py several train.h5 valid.h5
"""


def test_two_nodes_train_one_network(tmp_path, cluster):
    """torchrun on each of two nodes; the job's script is the one of the chapter on clusters."""
    files = store(tmp_path)
    (port,) = slurm_cluster.free_ports(1)
    scripts = {"training.py": TRAINING, "agent.sh": AGENT, "job.sh": JOB.format(port=port)}
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    tests = Path(__file__).parents[1]
    folders = f"{tests}:{tests / 'training'}"
    own = {"PYTHON": sys.executable, "PYTHONPATH": folders, "OMP_NUM_THREADS": "1"}
    job = subprocess.run(
        ["sbatch", "--wait", "--output", "job.log", "job.sh"], cwd=tmp_path,
        env={**cluster.environment, **own}, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert job.returncode == 0, job.stderr + (tmp_path / "job.log").read_text()
    nodes = (tmp_path / "nodes.txt").read_text().split()
    assert len(nodes) == len(set(nodes)) == 2
    told, alone = once(tmp_path / "one", files, "residual")
    made, together = once(tmp_path / "several", files, "residual", new=False)
    assert made["key"] == told["key"] and made["made"] <= told["made"]  # not made here
    assert_equal_weights(alone, together, beginning("residual"))
