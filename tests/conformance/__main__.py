"""`python -m tests.conformance` runs everything in this folder and writes down what it gave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conformance.tables import WRITE_RESULTS

command = [sys.executable, "-m", "pytest", str(Path(__file__).parent)]
sys.exit(subprocess.run(command, env={**os.environ, WRITE_RESULTS: "1"}, check=False).returncode)
