from __future__ import annotations

import runpy
from pathlib import Path

from app.server.endpoints import ENDPOINTS

SCRIPT = Path(__file__).parents[2] / "packaging/api_page.py"


def test_the_page_about_the_api_is_up_to_date() -> None:
    """`uv run python packaging/api_page.py` brings it up to date."""
    script = runpy.run_path(str(SCRIPT))
    assert script["PAGE"].read_text("utf-8") == script["page"]()


def test_the_page_names_every_endpoint_and_every_field() -> None:
    text = runpy.run_path(str(SCRIPT))["page"]()
    for endpoint in ENDPOINTS:
        assert f"`{endpoint.method.upper()} {endpoint.path}`" in text
        for rule in endpoint.fields:
            assert f"`{rule.name}`" in text
