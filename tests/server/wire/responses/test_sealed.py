from __future__ import annotations

import pytest

from app.server.wire.responses.sealed import sealed, unsealed


@pytest.mark.parametrize("text", ["", "Hm.", "Ünïcode\n𝛑"])
def test_what_was_sealed_comes_out_again(text: str) -> None:
    assert unsealed(sealed(text)) == text
    assert not text or text not in sealed(text)


@pytest.mark.parametrize("text", ["", "gAAAAAB", "hearth1.a", "hearth1.é", "hearth1._w=="])
def test_what_another_server_made_stays_closed(text: str) -> None:
    assert unsealed(text) is None
