"""`python -m tests.formats.json_schema`: score anew, and write the table into the README beside this file."""

from __future__ import annotations

from app.paths import resource
from tests.formats.json_schema.score import table
from tests.formats.json_schema.test_suite import README, SEEDS, scores
from tests.formats.json_schema.walker import walking


def main() -> None:
    """The table is the last thing in the README."""
    with walking(resource("ember", "ember.gguf")) as walker:
        written = table(scores(walker, SEEDS))
    text = README.read_text("utf-8")
    README.write_text(f"{text[: text.index('| keyword')]}{written}\n", "utf-8")


if __name__ == "__main__":
    main()
