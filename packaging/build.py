"""Freeze the program into `dist/hearth` and let the result test itself: `python3 packaging/build.py`.

The environment it is frozen from is made anew under `build/env` with a llama.cpp that runs on every x86-64 processor with AVX2,
not only on the one that built it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
DIST = ROOT / "dist"
PORTABLE = "llama-cpp-python:cmake.args=-DGGML_NATIVE=OFF"


def main() -> None:
    """Make the environment, freeze, test."""
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(BUILD / "env")}
    environment.pop("VIRTUAL_ENV", None)
    say("environment (builds llama.cpp the first time: about 8 minutes on two cores)")
    run("uv", "sync", "--no-dev", "--group", "package", "--config-settings-package", PORTABLE, env=environment)
    say("freezing")
    shutil.rmtree(DIST / "hearth", ignore_errors=True)
    options = ("--noconfirm", "--log-level", "WARN", "--distpath", str(DIST), "--workpath", str(BUILD / "pyinstaller"))
    run(str(BUILD / "env" / "bin" / "pyinstaller"), *options, str(ROOT / "packaging" / "hearth.spec"))
    say("self-test of the frozen program")
    run(str(DIST / "hearth" / "hearth"), "selftest", "--json")


def run(*command: str, env: dict[str, str] | None = None) -> None:
    if subprocess.run(command, cwd=ROOT, env=env, check=False).returncode:
        sys.exit(f"failed: {' '.join(command)}")


def say(what: str) -> None:
    print(f"== {what}", flush=True)


if __name__ == "__main__":
    main()
