"""Look up every entry of the catalogue on the hub: `uv run python packaging/refresh_catalogue.py [--check] [NAME ...]`.

Fills in what was seen there (exact files, sizes, hashes, projector, licence, commit) with the day, under `verified`. An entry
that is not as it says loses that, and is told; then the exit status is 1. `--check` writes nothing. HF_TOKEN is sent along.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from app.domain.endpoints import OFFICIAL_HUB
from app.domain.errors import AccessDenied, HubBusy, HubUnreachable, InvalidRequest, RepositoryNotFound
from app.domain.models import Capability, RemoteFile, RemoteRepository
from app.library.catalogue_model import CatalogueModel, catalogue_model, form_of
from app.library.hub import Hub
from app.library.names import shard_of

CATALOGUE = Path(__file__).resolve().parents[1] / "resources/catalogue.json"
AT_ONCE = 4
TRIES = 5
SENSES = {Capability.VISION, Capability.AUDIO}


class Wrong(Exception):
    """The entry is not as it says."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these entries, such as llama3.2:3b")
    parser.add_argument("--endpoint", default=OFFICIAL_HUB, help="the hub to ask")
    parser.add_argument("--file", type=Path, default=CATALOGUE, help="the catalogue")
    parser.add_argument("--check", action="store_true", help="say what is wrong or out of date, and write nothing")
    options = parser.parse_args(arguments)
    document = json.loads(options.file.read_text("utf-8"))
    before = undated(document)
    known = {f"{family['name']}:{model['tag']}" for family in document["families"] for model in family["models"]}
    if unknown := set(options.names) - known:
        parser.error(f"not in the catalogue: {', '.join(sorted(unknown))}")
    hub = Hub(endpoint=options.endpoint, token=os.environ.get("HF_TOKEN"))
    problems = asyncio.run(refresh(hub, document, set(options.names) or known))
    for problem in sorted(problems):
        print(problem)
    if options.check:
        current = undated(document) == before
        print("The catalogue is up to date." if current else "The catalogue is out of date.")
        return int(bool(problems) or not current)
    options.file.write_text(written(document), "utf-8")
    return int(bool(problems))


async def refresh(hub: Hub, document: dict[str, Any], names: set[str]) -> list[str]:
    """Change the entries of these names; what is wrong with them, one line each."""
    turns = asyncio.Semaphore(AT_ONCE)
    problems: list[str] = []

    async def look(family: dict[str, Any], entry: dict[str, Any]) -> None:
        model = catalogue_model(family, entry)
        async with turns:
            try:
                seen = verified(model, await listing(hub, model.repository), hub.endpoint)
            except HubUnreachable as error:
                # It says nothing about the entry.
                problems.append(f"{model.name}: not looked up. {error}")
                return
            except (RepositoryNotFound, AccessDenied, InvalidRequest, Wrong) as error:
                problems.append(f"{model.name}: {error}")
                entry.pop("verified", None)
                return
        entry["size_gb"] = shown_size(sum(file["size_bytes"] for file in seen["files"]))
        entry["verified"] = seen

    entries = [(family, model) for family in document["families"] for model in family["models"]]
    wanted = [(family, model) for family, model in entries if f"{family['name']}:{model['tag']}" in names]
    await asyncio.gather(*(look(family, model) for family, model in wanted))
    return problems


async def listing(hub: Hub, repository: str) -> RemoteRepository:
    """Waits when the hub asks to."""
    for _ in range(TRIES - 1):
        try:
            return await hub.repository(repository)
        except HubBusy as error:
            await asyncio.sleep(60.0 if error.retry_after_s is None else error.retry_after_s)
    return await hub.repository(repository)


def verified(model: CatalogueModel, repository: RemoteRepository, hub: str) -> dict[str, Any]:
    """What stands in the catalogue of it. Raises Wrong."""
    file = chosen(model, repository)
    projector = Hub.best_projector(repository, file)
    if projector is None and model.capabilities & SENSES:
        raise Wrong(f"{repository.id} has no projector for {file.label}.")
    seen = {
        "on": datetime.now(UTC).date().isoformat(),
        "hub": hub,
        "commit": repository.revision,
        "license": repository.license,
        "files": described(file),
    }
    if repository.gated:
        seen["gated"] = True
    if projector is not None and model.capabilities & SENSES:
        (seen["projector"],) = described(projector)
    return seen


def chosen(model: CatalogueModel, repository: RemoteRepository) -> RemoteFile:
    """The file of the usual quantization; of several, the one called like the model."""
    fitting = [file for file in repository.models if file.quantization == model.quantization]
    if len(fitting) > 1:
        fitting = [file for file in fitting if form_of(stem_of(file)) in model.stems]
    if len(fitting) != 1:
        there = ", ".join(sorted({file.quantization for file in repository.models})) or "no GGUF files"
        raise Wrong(f"{repository.id} has {len(fitting)} files of {model.quantization}; it has {there}.")
    return fitting[0]


def stem_of(file: RemoteFile) -> str:
    stem = PurePosixPath(file.label).stem
    shard = shard_of(stem)
    return shard.stem if shard is not None else stem


def described(file: RemoteFile) -> list[dict[str, Any]]:
    if None in file.sha256:
        raise Wrong(f"the hub has no hash of {file.label}.")
    sizes = file.sizes or (file.size_bytes,)
    parts = zip(file.names, sizes, file.sha256, strict=True)
    return [{"name": name, "size_bytes": size, "sha256": sha256} for name, size, sha256 in parts]


def shown_size(size_bytes: int) -> float:
    return round(size_bytes / 1e9, 1 if size_bytes >= 1e9 else 2)


def undated(document: dict[str, Any]) -> Any:
    """A copy to compare: that it was looked up on another day is no change."""
    return json.loads(json.dumps(document), object_hook=lambda item: {name: item[name] for name in item if name != "on"})


def written(document: dict[str, Any]) -> str:
    """One entry a line, so that changes can be read."""
    families = []
    for family in document["families"]:
        head = json.dumps({name: value for name, value in family.items() if name != "models"}, ensure_ascii=False)
        models = ",\n".join(f"      {json.dumps(model, ensure_ascii=False)}" for model in family["models"])
        families.append(f'    {head[:-1]}, "models": [\n{models}\n    ]}}')
    return '{\n  "families": [\n' + ",\n".join(families) + "\n  ]\n}\n"


if __name__ == "__main__":
    sys.exit(main())
