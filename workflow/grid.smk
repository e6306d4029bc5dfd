"""The runs of a grid, from the plan that run_grid.py wrote; one rule serves them all.

Only the name of a run stands in the command, never a parameter: values go from file to file.
"""

import sys

sys.path.insert(0, workflow.basedir)
import grid

PLAN = config["plan"]
RUNS = grid.load(PLAN)
FOLDER = f"{next(iter(RUNS.values())).folder.parents[1]}"
PROFILE = next(iter(RUNS.values())).profile
STAMP = f"{FOLDER}/{{run}}/{PROFILE}/.done/{{run}}"


wildcard_constraints:
    run=r"\w[\w-]*",


localrules:
    all,


rule all:
    input:
        [run.stamp for run in RUNS.values()],


rule run:
    input:
        lambda wildcards: [RUNS[need].stamp for need in RUNS[wildcards.run].needs],
    output:
        STAMP,
    params:
        python=sys.executable,
        script=f"{workflow.basedir}/run_notebook.py",
        plan=PLAN,
    threads: lambda wildcards: RUNS[wildcards.run].cores
    shell:
        "{params.python:q} {params.script:q} {wildcards.run:q} --plan {params.plan:q}"
        " --cores {threads}"
