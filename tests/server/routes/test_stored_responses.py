from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.serving import Serving, serving

pytestmark = pytest.mark.anyio


async def stored(api: Serving) -> str:
    response_id: str = (await api.http.post("/v1/responses", json={"model": "ember", "input": "Hello"})).json()["id"]
    return response_id


async def test_a_response_is_retrieved_until_it_is_deleted(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        path = f"/v1/responses/{await stored(api)}"
        assert (await api.http.get(path, params={"include": "x"})).json()["status"] == "completed"
        assert (await api.http.delete(path)).json() == {"id": path.split("/")[-1], "object": "response", "deleted": True}
        gone = [await api.http.get(path), await api.http.delete(path), await api.http.get(f"{path}/input_items")]
        gone.append(await api.http.post(f"{path}/cancel"))
    for answer in gone:
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "response_not_found")


async def test_a_page_of_input_items_has_its_bounds(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        path = f"/v1/responses/{await stored(api)}/input_items"
        page = (await api.http.get(path)).json()
        bad = await api.http.get(path, params={"limit": "0"})
    assert (page["object"], page["has_more"], page["first_id"]) == ("list", False, page["data"][0]["id"])
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "limit")


async def test_responses_leave_with_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        response_id = await stored(api)
        await api.server.stop()
        await api.server.start()
        api.http.base_url = (api.server.state.address or "").removesuffix("/v1")
        assert (await api.http.get(f"/v1/responses/{response_id}")).status_code == 404
