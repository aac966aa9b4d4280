from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from app.server.connections import connection_limit
print(connection_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize(
    ("soft", "hard", "limit", "raised"),
    [(1024, 4096, 2048, 2304), (256, 1024, 768, 1024), (4000, 4096, 2048, 4000), (64, 64, 16, 64)],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(soft: int, hard: int, limit: int, raised: int) -> None:
    script = _SCRIPT.format(soft=soft, hard=hard)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.split() == [str(limit), str(raised)]
