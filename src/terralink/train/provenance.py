"""What a run was made with: commit, versions, machine, and what was typed."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import torch

from terralink import __version__


def commit() -> str:
    """The commit of the source tree that runs, or the version of the package."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"terralink {__version__}"


def environment() -> str:
    """Commit, command, machine and the versions of all packages, as JSON."""
    told = {
        "commit": commit(),
        "command": sys.argv,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "packages": dict(sorted((d.metadata["Name"], d.version) for d in distributions())),
    }
    return json.dumps(told, indent=2)
