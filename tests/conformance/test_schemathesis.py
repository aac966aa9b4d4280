"""schemathesis on our own OpenAPI document, against the whole program: no 5xx, no undocumented status or shape, no hang."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.bootstrap import Running, running
from app.options import Options
from app.server.endpoints import ENDPOINTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
# The same cases each time, unless others are asked for.
SEED = os.environ.get("HEARTH_SEED", "1")
# Requests that have most of their fields in common are tried in every way only where there is time.
CONFIG = () if "HEARTH_SOAK" in os.environ else ("--config-file", str(Path(__file__).with_name("schemathesis.toml")))
# What is valid by itself need not be valid together, and no key is asked for.
LEFT_OUT = "positive_data_acceptance,ignored_auth"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, minilm_path: Path) -> Iterator[Running]:
    """Answers end soon, as the context is full soon."""
    options = Options(profile=tmp_path_factory.mktemp("schemathesis"), overrides={"port": 0, "n_ctx": 128})
    with running(options) as program:
        path = tmp_path_factory.mktemp("models") / "all-minilm.gguf"
        path.symlink_to(minilm_path)
        program.loop.submit(program.services.library.open_path(path)).result()
        program.loop.submit(program.services.server.start()).result()
        yield program


def test_no_generated_request_finds_a_fault(small: Running, tmp_path: Path) -> None:
    address = (small.services.server.state.address or "").removesuffix("/v1")
    command = [
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "--no-color"),
        *CONFIG,
        *("run", f"{address}/openapi.json", "--phases", "examples,coverage,fuzzing", "--exclude-checks", LEFT_OUT),
        *("--max-examples", "20", "--seed", SEED, "--no-shrink", "--continue-on-failure", "--request-timeout", "60"),
        *("--generation-database", "none", "--output-sanitize", "false"),
        *(argument for endpoint in ENDPOINTS for alias in endpoint.aliases for argument in ("--exclude-path", alias)),
    ]
    hooks = "tests.conformance.schemathesis_hooks"
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": hooks, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
