"""Choose what to run before anything heavy is imported: a worker must not load the window, nor the window llama.cpp."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    if sys.argv[1:2] == ["engine-worker"]:
        from app.engine.worker import main as worker

        sys.exit(worker())
    from app.cli import main as cli

    cli()


if __name__ == "__main__":
    main()
