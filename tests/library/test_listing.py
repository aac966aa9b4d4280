"""Ids are short, readable and never given twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.errors import NotAModel
from app.domain.models import ModelSource
from app.library.headers import HeaderCache
from app.library.listing import Listing, Places, list_models, models_at
from app.library.provenance import Provenance, record_provenance
from tests.library.gguf_maker import write_model


@pytest.fixture
def listed(tmp_path: Path, ember_path: Path) -> Callable[..., Listing]:
    def run(*, folders: tuple[Path, ...] = (), added: tuple[Path, ...] = (), opened: tuple[Path, ...] = ()) -> Listing:
        library, *others = folders or (tmp_path / "none",)
        places = Places(ember_path, library, tuple(others), added, opened)
        return list_models(places, HeaderCache(tmp_path / "headers.json"))

    return run


def model_at(path: Path, *, age_s: int) -> Path:
    write_model(path)
    os.utime(path, (1_700_000_000 - age_s,) * 2)
    return path


def by_id(listing: Listing) -> dict[str, Path]:
    return {model.id: model.path for model in listing.models}


def test_places_are_folders_and_stem(tmp_path: Path, listed: Callable[..., Listing]) -> None:
    write_model(tmp_path / "models" / "org" / "repo" / "m-Q8_0.gguf")

    listing = listed(folders=(tmp_path / "models",))

    assert listing.places == ("ember/ember", "org/repo/m-Q8_0")
    assert [model.id for model in listing.models] == ["ember", "m-Q8_0"]


def test_whoever_has_the_short_id_is_decided_by_kind_and_age(tmp_path: Path, listed: Callable[..., Listing]) -> None:
    young = model_at(tmp_path / "models" / "a" / "m.gguf", age_s=1)
    old = model_at(tmp_path / "models" / "b" / "M.gguf", age_s=9)
    added = model_at(tmp_path / "added" / "m.gguf", age_s=99)
    opened = model_at(tmp_path / "opened" / "m.gguf", age_s=0)

    without = by_id(listed(folders=(tmp_path / "models",), added=(added,)))
    ids = by_id(listed(folders=(tmp_path / "models",), added=(added,), opened=(opened,)))

    assert without["M"] == old
    assert {key: path for key, path in ids.items() if key != "ember"} == {
        "m": opened,
        "b/M": old,
        "a/m": young,
        "added/m": added,
    }


def test_ids_differ_even_where_folders_are_called_alike(tmp_path: Path, listed: Callable[..., Listing]) -> None:
    added = tuple(model_at(tmp_path / str(number) / "same" / "m.gguf", age_s=number) for number in range(4))

    assert sorted(by_id(listed(added=added))) == ["ember", "m", "same/m", "same/m-2", "same/m-3"]


def test_a_model_may_not_take_the_name_of_the_built_in_one(
    tmp_path: Path, listed: Callable[..., Listing], ember_path: Path
) -> None:
    model_at(tmp_path / "models" / "org" / "Ember.gguf", age_s=10**9)

    ids = by_id(listed(folders=(tmp_path / "models",)))

    assert ids["ember"] == ember_path
    assert "org/Ember" in ids


def test_a_file_of_a_models_folder_that_is_opened_by_path_gets_the_short_id(
    tmp_path: Path, listed: Callable[..., Listing]
) -> None:
    old = model_at(tmp_path / "models" / "a" / "m.gguf", age_s=9)
    young = model_at(tmp_path / "models" / "b" / "m.gguf", age_s=1)

    ids = by_id(listed(folders=(tmp_path / "models",), opened=(young,)))

    assert (ids["m"], ids["a/m"]) == (young, old)
    assert len(ids) == 3


def test_odd_notes_and_links_of_a_folder_take_nothing_from_the_list(tmp_path: Path, listed: Callable[..., Listing]) -> None:
    model = write_model(tmp_path / "models" / "org" / "repo" / "m.gguf")
    for name in (f"mmproj-{'x' * 300}.gguf", "mmproj-\0.gguf"):
        record_provenance(model.parent / name, Provenance("org/repo", "", name, 3, ""))
    loop = tmp_path / "loop.gguf"
    loop.symlink_to(loop)

    found = listed(folders=(tmp_path / "models",), added=(loop,))

    assert {one.id: one.problem is None for one in found.models} == {"ember": True, "m": True, "loop": False}


@pytest.mark.skipif(sys.platform != "linux", reason="its file systems take only text as names")
def test_a_name_that_is_no_text_is_told_and_not_listed(tmp_path: Path, listed: Callable[..., Listing]) -> None:
    sound = write_model(tmp_path / "models" / "sound.gguf")
    odd = write_model(tmp_path / "models" / os.fsdecode(b"bad\xff") / "odd.gguf", seed=1)

    found = listed(folders=(tmp_path / "models",), added=(odd,))

    assert [model.path for model in found.models[1:]] == [sound]
    assert all("Rename it." in trouble.reason and trouble.reason.encode() for trouble in found.troubles)
    assert {trouble.source for trouble in found.troubles} == {ModelSource.LIBRARY, ModelSource.ADDED}
    with pytest.raises(NotAModel, match="Rename it"):
        models_at(odd)
