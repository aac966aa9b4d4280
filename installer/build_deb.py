"""Make `dist/hearth_VERSION_amd64.deb` from the frozen program and test what it installs: `python3 installer/build_deb.py`.

Run `python3 packaging/build.py` first. The package is unpacked in a scratch folder, not installed.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FROZEN = ROOT / "dist" / "hearth"


def main() -> None:
    """Package, unpack, test."""
    if not FROZEN.is_dir():
        sys.exit("There is no dist/hearth. Run python3 packaging/build.py first.")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    package = ROOT / "dist" / f"hearth_{version}_amd64.deb"
    configuration = ("--config", "installer/linux/nfpm.yaml", "--packager", "deb", "--target", str(package))
    run(str(ROOT / "build" / "env" / "bin" / "nfpm"), "package", *configuration, env={**os.environ, "HEARTH_VERSION": version})
    print(f"== {package.relative_to(ROOT)}: {package.stat().st_size / 1e6:.0f} MB", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        run("dpkg-deb", "-x", str(package), scratch)
        print("== self-test of the unpacked package", flush=True)
        run(str(Path(scratch, "opt", "hearth", "hearth")), "selftest", "--json")


def run(*command: str, env: dict[str, str] | None = None) -> None:
    if subprocess.run(command, cwd=ROOT, env=env, check=False).returncode:
        sys.exit(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    main()
