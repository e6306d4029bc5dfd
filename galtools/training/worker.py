"""One of several processes that train a translator: started by torchrun, on a task in a file."""

import json
import sys
from pathlib import Path

from galtools import data
from galtools.training import distributed, train
from galtools.training.loop import Settings


def main(file: Path) -> None:
    """Train as `train.train_cached` would in one process; the first process leaves a report."""
    task = json.loads(Path(file).read_text())
    device = distributed.init()

    def load(path):
        return data.for_task(data.load(path), task["build"]["task"])

    try:
        told = train.train_and_save(
            Path(task["weights"]), task["build"], Settings(**task["settings"]), load,
            *(Path(path) for path in task["files"]), task["key"], device,
        )  # fmt: skip
        if distributed.is_main():
            Path(task["report"]).write_text(json.dumps(told))
    finally:
        distributed.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
