"""Headers over HTTP, from the fake hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from app.domain.errors import AccessDenied, ChecksumMismatch, HubUnreachable, NotAModel, RepositoryNotFound
from app.domain.models import RemoteFile, RemoteRepository
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.library.outline import Outline, outline_of, read_outline
from app.library.outlines import Outlines
from app.library.range_reader import RangeReader
from app.library.remote_header import RemoteHeaders
from app.library.retry_policy import RetryPolicy
from app.settings import SettingsStore
from tests.fake_hub import FakeHub
from tests.library.gguf_maker import write_model, write_projector

pytestmark = pytest.mark.anyio

Quantization = gguf.GGMLQuantizationType


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


class Bench:
    def __init__(self, hub: FakeHub, folder: Path) -> None:
        self.fake = hub
        self.folder = folder
        self.hub = Hub(endpoint=hub.endpoint)
        self.outlines = Outlines(folder / "outlines")
        policy = RetryPolicy(tries=2, first_pause_s=0.0, max_pause_s=0.1, stall_s=5.0)
        self.headers = RemoteHeaders(self.hub, self.outlines, RangeReader(self.hub, policy))

    async def publish(self, **files: bytes) -> RemoteRepository:
        self.fake.add("org/repo", {f"{name}.gguf": data for name, data in files.items()})
        return await self.hub.repository("org/repo")

    async def outline(self, repository: RemoteRepository, file: RemoteFile | int = 0) -> Outline:
        chosen = repository.models[file] if isinstance(file, int) else file
        return read_outline((await self.headers.outline(repository, chosen)).path)

    @property
    def fetched(self) -> int:
        """Bytes that were asked for."""
        spans = [request.headers["range"].removeprefix("bytes=").split("-") for request in self.fake.transfers]
        return sum(int(last) + 1 - int(first) for first, last in spans)


@pytest.fixture
async def bench(hub: FakeHub, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(hub, tmp_path)
    yield bench
    await bench.headers.close()


def _model(
    folder: Path, kind: Quantization = Quantization.F16, *, n_tokens: int = 100_000, n_ctx: int = 4096, name: str = "Big"
) -> bytes:
    """A header of 2.6 MB before some weights."""
    path = folder / "big.gguf"
    file = gguf.GGUFWriter(path, "llama")
    file.add_name(name)
    file.add_context_length(n_ctx)
    file.add_file_type(int(kind))
    file.add_tokenizer_model("gpt2")
    file.add_token_list([f"a token of some length {number}" for number in range(n_tokens)])
    file.add_token_scores([0.0] * n_tokens)
    for i in range(12):
        values = np.full((64, 256), 0.1, np.float32)
        file.add_tensor(f"blk.{i}.ffn_up.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
        file.add_tensor(f"blk.{i}.ffn_norm.weight", np.ones(256, np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path.read_bytes()


def _like(outline: Outline) -> list[tuple[str, tuple[int, ...], str]]:
    return [(tensor.name, tensor.shape, tensor.type.name) for tensor in outline.tensors]


async def test_a_large_header_is_read_in_growing_ranges_and_no_weights(bench: Bench, tmp_path: Path) -> None:
    data = _model(tmp_path)
    repository = await bench.publish(m=data + bytes(30_000_000))
    outline = await bench.outline(repository)
    assert _like(outline) == _like(outline_of([tmp_path / "big.gguf"]))
    assert [request.headers["range"] for request in bench.fake.transfers] == ["bytes=0-1048575", "bytes=1048576-4194303"]


async def test_a_header_is_read_once_also_by_the_next_program(bench: Bench, tmp_path: Path) -> None:
    repository = await bench.publish(m=_model(tmp_path))
    first, second = await asyncio.gather(bench.outline(repository), bench.outline(repository))
    assert first == second
    n_transfers = len(bench.fake.transfers)
    other = RemoteHeaders(bench.hub, bench.outlines)
    await other.outline(repository, repository.models[0])
    await other.close()
    assert len(bench.fake.transfers) == n_transfers


async def test_of_further_quantizations_no_vocabulary_is_read_again(bench: Bench, tmp_path: Path) -> None:
    kinds = {kind.name: kind for kind in (Quantization.F16, Quantization.Q8_0, Quantization.Q4_0, Quantization.Q5_0)}
    repository = await bench.publish(**{f"m-{name}": _model(tmp_path, kind) for name, kind in kinds.items()})
    outlines = await asyncio.gather(*(bench.outline(repository, file) for file in repository.models))
    for file, outline in zip(repository.models, outlines, strict=True):
        assert outline.tensors[0].type.name == file.quantization
        assert outline.tensors[1].type.name == "F32"
    # One header of 4 MB in two steps, and of the three others a head and a tail.
    assert len(bench.fake.transfers) == 2 + 3 * 2
    assert bench.fetched < 5_000_000


async def test_a_file_that_only_looks_like_another_quantization_is_read_itself(bench: Bench, tmp_path: Path) -> None:
    repository = await bench.publish(a=_model(tmp_path), b=_model(tmp_path, Quantization.Q8_0, n_ctx=8192))
    for number in (0, 1):
        await bench.outline(repository, number)
    longer = await bench.outline(repository, next(file for file in repository.models if file.label == "b.gguf"))
    assert any((8192).to_bytes(4, "little") in entry for entry in longer.hyperparameters)


async def test_shards_are_joined(bench: Bench, tmp_path: Path) -> None:
    for number, name in ((0, "token_embd.weight"), (1, "output.weight")):
        write_model(tmp_path / f"{number}.gguf", split=(number, 2, 2), tensors={name: np.zeros((32, 64), np.float32)})
    repository = await bench.publish(
        **{f"m-0000{number + 1}-of-00002": (tmp_path / f"{number}.gguf").read_bytes() for number in (0, 1)}
    )
    assert [tensor.name for tensor in (await bench.outline(repository)).tensors] == ["token_embd.weight", "output.weight"]


async def test_a_projector_is_not_taken_for_a_quantization_of_its_model(bench: Bench, tmp_path: Path) -> None:
    projector = write_projector(tmp_path / "mmproj.gguf").read_bytes()
    repository = await bench.publish(**{"m": _model(tmp_path), "mmproj-m": projector})
    await bench.outline(repository)
    eyes = await bench.outline(repository, repository.projectors[0])
    assert [tensor.name for tensor in eyes.tensors] == ["mm.0.bias", "mm.2.bias"]


async def test_a_server_that_ignores_ranges_is_not_read_to_the_end(bench: Bench, tmp_path: Path) -> None:
    bench.fake.faults.ignore_ranges = True
    repository = await bench.publish(**{"m-F16": _model(tmp_path), "m-Q8_0": _model(tmp_path, Quantization.Q8_0)})
    first, second = [await bench.outline(repository, number) for number in (0, 1)]
    assert {first.tensors[0].type.name, second.tensors[0].type.name} == {"F16", "Q8_0"}


async def test_a_broken_connection_is_tried_again(bench: Bench, tmp_path: Path) -> None:
    bench.fake.faults.drop_after.append(1000)
    repository = await bench.publish(m=_model(tmp_path))
    assert (await bench.outline(repository)).tensors


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, "answers with error 500"), (429, "Try again in 7 seconds"), (403, "The link to the file ended")],
)
async def test_the_storage_s_own_trouble_is_told(bench: Bench, tmp_path: Path, status: int, said: str) -> None:
    repository = await bench.publish(m=_model(tmp_path))
    bench.fake.faults.statuses, bench.fake.faults.retry_after_s = [status] * 2, 7
    with pytest.raises(HubUnreachable, match=said):
        await bench.outline(repository)


@pytest.mark.parametrize("status", [500, 503, 429, 403])
async def test_trouble_of_the_storage_is_told_after_some_tries(bench: Bench, tmp_path: Path, status: int) -> None:
    repository = await bench.publish(m=_model(tmp_path))
    bench.fake.faults.statuses = [status] * 2
    with pytest.raises(HubUnreachable):
        await bench.outline(repository)
    # Nothing wrong was kept.
    assert (await bench.outline(repository)).tensors


async def test_a_file_that_can_t_be_read_is_estimated_from_its_sibling(bench: Bench, tmp_path: Path) -> None:
    repository = await bench.publish(**{"m-F16": _model(tmp_path), "m-Q8_0": _model(tmp_path, Quantization.Q8_0)})
    small, large = repository.models
    assert (small.quantization, large.quantization) == ("Q8_0", "F16")
    assert not (await bench.headers.outline(repository, large)).estimated
    bench.fake.faults.statuses = [500] * 2
    estimate = await bench.headers.outline(repository, small)
    assert estimate.estimated
    exact = await bench.headers.outline(repository, small)
    assert not exact.estimated
    told, true = (sum(tensor.size_bytes for tensor in read_outline(one.path).tensors) for one in (estimate, exact))
    assert told == pytest.approx(true, rel=0.05)


async def test_gated_and_missing_files_are_told_apart(bench: Bench, tmp_path: Path) -> None:
    data = _model(tmp_path, n_tokens=10)
    repository = await bench.publish(m=data)
    bench.fake.add("org/repo", {"other.gguf": data})
    with pytest.raises(RepositoryNotFound):
        await bench.outline(repository)
    bench.fake.add("org/repo", {"m.gguf": data}, gated=True)
    with pytest.raises(AccessDenied):
        await bench.outline(repository)


async def test_a_file_of_another_size_has_changed(bench: Bench, tmp_path: Path) -> None:
    repository = await bench.publish(m=_model(tmp_path, n_tokens=10))
    bench.fake.add("org/repo", {"m.gguf": _model(tmp_path, n_tokens=11)})
    with pytest.raises(ChecksumMismatch, match="changed"):
        await bench.outline(repository)


async def test_what_is_no_model_is_told_but_not_read_again(bench: Bench) -> None:
    repository = await bench.publish(m=b"<html>" + bytes(5000))
    for _ in range(2):
        with pytest.raises(NotAModel, match="web page"):
            await bench.outline(repository)
    assert len(bench.fake.transfers) == 1
    assert not list(bench.folder.glob("outlines/*"))


async def test_a_header_that_tells_of_more_than_there_is_is_none(bench: Bench, tmp_path: Path) -> None:
    repository = await bench.publish(m=_model(tmp_path)[:-5000])
    with pytest.raises(NotAModel, match="more than the file holds"):
        await bench.outline(repository)


async def test_a_header_that_never_ends_is_given_up(bench: Bench, tmp_path: Path) -> None:
    cut = _model(tmp_path)[:900_000]
    repository = await bench.publish(m=cut)
    with pytest.raises(NotAModel, match="does not end"):
        await bench.outline(repository)


async def test_who_leaves_does_not_stop_the_reading(bench: Bench, tmp_path: Path) -> None:
    bench.fake.faults.pause_after = 1000
    repository = await bench.publish(m=_model(tmp_path))
    waiting = asyncio.ensure_future(bench.outline(repository))
    await asyncio.to_thread(bench.fake.paused.wait, 5)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    bench.fake.faults.pause_after = None
    n_transfers = len(bench.fake.transfers)
    again = asyncio.ensure_future(bench.outline(repository))
    bench.fake.resume.set()
    assert (await again).tensors
    # The first range was not asked for anew.
    assert len(bench.fake.transfers) == n_transfers + 1


async def test_a_server_in_trouble_is_waited_for_once_and_not_for_each_file(bench: Bench, tmp_path: Path) -> None:
    names = ("a", "b", "c", "d")
    repository = await bench.publish(**{name: _model(tmp_path, n_tokens=10, name=name) for name in names})
    bench.fake.faults.statuses = [503] * 20

    told = await asyncio.gather(*(bench.outline(repository, file) for file in repository.models), return_exceptions=True)

    assert [type(error) for error in told] == [HubUnreachable] * len(names)
    assert len(bench.fake.transfers) == 2
    # Whoever asks later has it tried again.
    bench.fake.faults.statuses = []
    assert (await bench.outline(repository)).tensors


async def test_tokens_are_sent_to_the_hub_alone(hub: FakeHub, tmp_path: Path) -> None:
    hub.add("org/repo", {"m.gguf": _model(tmp_path, n_tokens=10)}, gated=True, token="hf_mine")
    mine = Hub(endpoint=hub.endpoint, token="hf_mine")
    headers = RemoteHeaders(mine, Outlines(tmp_path / "outlines"))
    repository = await mine.repository("org/repo")
    await headers.outline(repository, repository.models[0])
    await headers.close()
    assert all("authorization" not in request.headers for request in hub.transfers)


async def test_a_hub_that_is_switched_off_is_not_asked_but_what_is_known_stays(hub: FakeHub, tmp_path: Path) -> None:
    hub.add("org/repo", {"a.gguf": _model(tmp_path, n_tokens=10), "b.gguf": _model(tmp_path, n_tokens=11)})
    settings = SettingsStore(tmp_path / "settings.json", overrides={"hub_endpoint": hub.endpoint})
    mine = Hub(HubAccess(lambda: settings.current))
    headers = RemoteHeaders(mine, Outlines(tmp_path / "outlines"))
    repository = await mine.repository("org/repo")
    first, second = repository.models
    known = await headers.outline(repository, first)
    settings.update(hub_offline=True)
    n_requests = len(hub.requests)
    assert await headers.outline(repository, first) == known
    assert (await headers.outline(repository, second)).estimated
    assert len(hub.requests) == n_requests
    await headers.close()
    await mine.close()


async def test_a_file_elsewhere_on_the_web_is_asked_for_where_it_lies_and_without_a_token(hub: FakeHub, tmp_path: Path) -> None:
    data = _model(tmp_path, n_tokens=10)
    hub.add("org/repo", {"m.gguf": data})
    mine = Hub(endpoint="http://127.0.0.1:1", token="hf_mine")
    headers = RemoteHeaders(mine, Outlines(tmp_path / "outlines"))
    url = f"{hub.endpoint}/org/repo/resolve/main/m.gguf"
    file = RemoteFile(("m.gguf",), len(data), "F16", (None,), urls=(url,))
    outline = await headers.outline(RemoteRepository("127.0.0.1/main", "1", (file,)), file)
    assert read_outline(outline.path).tensors
    assert all("authorization" not in request.headers for request in hub.requests)
    gone = replace(file, urls=(f"{url}.gone",))
    with pytest.raises(RepositoryNotFound):
        await headers.outline(RemoteRepository("127.0.0.1/main", "2", (gone,)), gone)
    await headers.close()
