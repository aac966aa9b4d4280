"""What to download so that a model has everything that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.domain.errors import InvalidRequest, RepositoryNotFound
from app.domain.models import InstalledModel, ModelSource, PartKind, RemoteFile, RemoteRepository
from app.library.hub_listing import projector_for
from app.library.local_names import local_path

__all__ = ["Repair", "plan_repair", "repository_for"]


@dataclass(frozen=True, slots=True)
class Repair:
    """What to give to `DownloadManager.start`: of `file`, what is here already is checked and not fetched again."""

    repository: RemoteRepository
    file: RemoteFile
    projector: RemoteFile | None = None

    @property
    def size_bytes(self) -> int:
        return self.file.size_bytes + (self.projector.size_bytes if self.projector else 0)


def repository_for(model: InstalledModel) -> str:
    """Where its missing parts are. Raises InvalidRequest if it lacks nothing, or nobody knows where it came from."""
    if not model.missing:
        raise InvalidRequest(f"{model.name} has everything that belongs to it.", param="model")
    repository = next((part.repository for part in model.missing if part.repository), model.repository)
    if not repository:
        raise InvalidRequest(
            f"Nobody noted where {model.name} came from. Look for it on the hub and download it with its other parts.",
            param="model",
        )
    return repository


def plan_repair(model: InstalledModel, listing: RemoteRepository, folder: Path, note_name: str = "") -> Repair:
    """`note_name` is what the model's file is called in the repository, "" if it is not known; `folder` is where downloads go.

    Raises RepositoryNotFound if the repository does not hold what is missing.
    """
    file = _same_file(model, listing, note_name)
    kinds = {part.kind for part in model.missing}
    projector = _projector(model, listing, file) if PartKind.PROJECTOR in kinds else None
    if PartKind.SHARD in kinds:
        if file is None:
            raise RepositoryNotFound(f"{listing.id} has no {model.path.name} any more. Choose another file of it.")
        if model.source is not ModelSource.LIBRARY or local_path(folder, listing.id, file.label) != model.path:
            raise InvalidRequest(
                f"The missing parts of {model.name} belong into {model.path.parent}, where Hearth downloads nothing to. "
                f"Get it anew with `hearth pull {listing.id}`.",
                param="model",
            )
        return Repair(listing, file, projector)
    if projector is None:
        raise RepositoryNotFound(f"{listing.id} has no projector for {model.name}.")
    return Repair(listing, projector)


def _same_file(model: InstalledModel, listing: RemoteRepository, note_name: str) -> RemoteFile | None:
    """The model as the repository lists it: by its path there, else by its file's name, else by its quantization."""
    by_path = (file for file in listing.models if note_name in file.names)
    by_name = (file for file in listing.models if any(PurePosixPath(name).name == model.path.name for name in file.names))
    by_kind = (file for file in listing.models if file.quantization.casefold() == model.quantization.casefold())
    return next((found for choice in (by_path, by_name, by_kind) for found in choice), None)


def _projector(model: InstalledModel, listing: RemoteRepository, file: RemoteFile | None) -> RemoteFile | None:
    """The one that was there before, else the one that goes with the file."""
    named = {part.name for part in model.missing if part.kind is PartKind.PROJECTOR and part.name}
    before = (projector for projector in listing.projectors if named & set(projector.names))
    wanted = file or next(iter(listing.models), None)
    return next(before, None) or (projector_for(listing, wanted) if wanted else next(iter(listing.projectors), None))
