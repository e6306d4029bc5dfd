"""A Slurm cluster of several node daemons on this one machine, for as long as a test runs."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo", "sacct")
PROGRAMS = ("slurmctld", "slurmd", "munged", *COMMANDS)
# a job that lost its node waits until its credentials have expired: 2 minutes, but for cred_expire
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/%n.pid
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdLogFile={folder}/%n.log
SlurmctldLogFile={folder}/slurmctld.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdTimeout=6
MessageTimeout=60
JobRequeue=1
KillWait=2
SchedulerParameters=sched_interval=2
NodeName=node[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port={ports} CPUs=1 RealMemory=4000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Say why no cluster can be started here, or nothing."""
    if os.name != "posix" or os.geteuid():
        return "a Slurm cluster of one's own can only be started by root"
    path = os.environ["PATH"] + ":/usr/sbin"
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    return f"{absent[0]} is not installed: apt-get install slurm-wlm munge" if absent else ""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, in a row.

    Each process looks in a place of its own, since tests that run beside this one look, too, and
    below those that the kernel gives to whoever asks for any (from 32768).
    """
    for first in range(10_000 + os.getpid() * 20 % 20_000, 32_000, count):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for k, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + k))
            return list(range(first, first + count))
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise OSError("no free ports")


class Cluster:
    """Start in a folder; `stop` ends everything that was started."""

    def __init__(self, folder: Path, nodes: int = 3):
        """Write the configuration and start munged, slurmctld and the node daemons."""
        self.folder, self.daemons = folder, {}
        folder.mkdir(parents=True)
        for name in ("state", *(f"spool-node{k + 1}" for k in range(nodes))):
            (folder / name).mkdir()
        port, *ports = free_ports(nodes + 1)
        configuration = folder / "slurm.conf"
        facts = {"host": socket.gethostname(), "folder": folder, "port": port, "nodes": nodes}
        configuration.write_text(CONFIGURATION.format(ports=f"[{ports[0]}-{ports[-1]}]", **facts))
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(configuration),
            "PATH": f"{folder}/bin:{os.environ['PATH']}:/usr/sbin",
        }
        self.wrap_commands(configuration)
        self.start_munge()
        self.start("slurmctld", "-D")
        for k in range(nodes):
            self.start_node(f"node{k + 1}")
        self.wait("all nodes idle", lambda: self.ask("sinfo", "-h", "-o", "%T") == "idle")

    def wrap_commands(self, configuration: Path) -> None:
        """Tell every command where the cluster is: Snakemake's plugin clears the environment."""
        (self.folder / "bin").mkdir()
        for name in COMMANDS:
            script = self.folder / "bin" / name
            script.write_text(
                f'#!/bin/sh\nSLURM_CONF={configuration} exec {shutil.which(name)} "$@"\n'
            )
            script.chmod(0o755)

    def start(self, program: str, *options, name: str = "") -> None:
        """Start a daemon."""
        log = open(self.folder / f"{name or program}.out", "w")  # noqa: SIM115  the daemon's
        self.daemons[name or program] = subprocess.Popen(
            [program, *options], env=self.environment, stdout=log, stderr=log
        )

    def start_munge(self) -> None:
        """Start munged with a key of this cluster's own."""
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(64))
        key.chmod(0o400)
        files = {"key-file": key, "socket": self.folder / "munge.socket"}
        files |= {f"{name}-file": self.folder / f"munge.{name}" for name in ("pid", "seed", "log")}
        options = [f"--{name}={path}" for name, path in files.items()]
        self.start("munged", "--foreground", "--force", *options)
        self.wait("munged", files["socket"].exists)

    def start_node(self, name: str) -> None:
        """Start, or start again, the daemon of a node."""
        self.start("slurmd", "-D", "-N", name, name=name)

    def kill(self, name: str) -> None:
        """Kill a node as a power cut would: its daemon, and every job that it runs."""
        for process in self.processes(name):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.daemons[name].wait()

    def processes(self, node: str) -> list[psutil.Process]:
        """The daemon of a node and the keepers of its jobs (who must die first), and all below.

        What a killed job has left behind has no keeper any more, and is known by its environment.
        """
        marked, keepers = [], []
        mark = {"SLURMD_NODENAME": node, "SLURM_CONF": self.environment["SLURM_CONF"]}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if mark.items() <= process.environ().items():
                    marked.append(process)
                    keepers += [one for one in process.parents() if "slurmstepd" in one.name()]
        top = [psutil.Process(self.daemons[node].pid), *keepers]
        below = [child for one in dict.fromkeys(top) for child in one.children(recursive=True)]
        return list(dict.fromkeys([*top, *below, *marked]))

    def ask(self, *command) -> str:
        """Run one of Slurm's commands; return what it prints, different lines once each."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return "\n".join(dict.fromkeys(done.stdout.split("\n"))).strip()

    def wait(self, what: str, ready, seconds: float = 300) -> None:
        """Wait until something is so; give up only where even a busy machine would have done it."""
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                logs = [path.read_text()[-500:] for path in self.folder.glob("*.log")]
                raise TimeoutError(f"{what}: {self.ask('sinfo')}\n" + "\n".join(logs))
            time.sleep(0.1)

    def stop(self) -> None:
        """End every job and every daemon."""
        self.ask("scancel", "--user=root")
        for name, daemon in reversed(self.daemons.items()):
            if daemon.poll() is None:
                self.kill(name)
