"""One of several processes that train a translator: started by torchrun, on a task in a file."""

import json
import sys
from pathlib import Path

from galtools import data, processes, train
from galtools.loop import Settings


def main(file: Path) -> None:
    """Train as `galtools.train.once` would in one process; the first process leaves a report."""
    task = json.loads(Path(file).read_text())
    device = processes.join()

    def load(path):
        return data.for_task(data.load(path), task["build"]["task"])

    try:
        told = train.perform(
            Path(task["weights"]), task["build"], Settings(**task["settings"]), load,
            *(Path(path) for path in task["files"]), task["key"], device,
        )  # fmt: skip
        if processes.is_first():
            Path(task["report"]).write_text(json.dumps(told))
    finally:
        processes.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
