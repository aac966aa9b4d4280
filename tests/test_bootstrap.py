from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from app.bootstrap import running
from app.domain.errors import SettingsError
from app.domain.models import DownloadState
from app.options import EngineMode, Options
from app.paths import Paths
from tests.fake_hub import FakeHub


def options(profile: Path, **overrides: object) -> Options:
    return Options(profile=profile, engine=EngineMode.THREAD, overrides={"port": 0, **overrides})


def test_the_servers_address_is_left_for_others_while_it_runs(tmp_path: Path) -> None:
    file = Paths.of(tmp_path).running_file
    with running(options(tmp_path)) as program:
        assert not file.exists()
        program.loop.submit(program.services.server.start()).result()
        assert json.loads(file.read_text())["address"] == program.services.server.state.address
    assert not file.exists()


def test_a_wrong_setting_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    handlers = logging.getLogger().handlers.copy()
    with pytest.raises(SettingsError, match="n_parallel"), running(options(tmp_path, n_parallel=0)):
        pass
    assert logging.getLogger().handlers == handlers
    with running(options(tmp_path)) as program:
        assert program.services.settings.current.port == 0


def test_a_downloaded_model_is_listed_without_being_asked_for(tmp_path: Path, ember_path: Path) -> None:
    with FakeHub() as hub, running(options(tmp_path, hub_endpoint=hub.endpoint)) as program:
        hub.add("org/tiny-GGUF", {"tiny-Q8_0.gguf": ember_path.read_bytes()})
        services = program.services

        async def download() -> tuple[str, ...]:
            announced = asyncio.get_running_loop().create_future()
            services.library.changed.subscribe(announced.set_result)
            listing = await services.hub.repository("org/tiny-GGUF")
            progress = await services.downloads.wait(services.downloads.start(listing, listing.models[0]))
            assert progress.state is DownloadState.DONE
            return tuple(model.id for model in await announced)

        assert program.loop.submit(download()).result() == ("ember", "tiny-Q8_0")
    assert hub.endpoint not in Paths.of(tmp_path).log_file.read_text(), "addresses of downloads carry signatures"


def test_it_logs_to_a_file_of_the_profile(tmp_path: Path) -> None:
    with running(options(tmp_path)) as program:
        program.loop.submit(program.services.server.start()).result()
    assert "Listening on" in Paths.of(tmp_path).log_file.read_text()
