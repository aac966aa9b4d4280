"""No name the hub can send leads outside the models folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.library.local_names import local_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m.gguf", "org/repo/m.gguf"),
        ("BF16/m-00001-of-00002.gguf", "org/repo/BF16/m-00001-of-00002.gguf"),
        ("../../../etc/passwd", "org/repo/_/_/_/etc/passwd"),
        ("/etc/passwd", "org/repo/etc/passwd"),
        ("./a//b.gguf", "org/repo/a/b.gguf"),
        ("..\\..\\x.gguf", "org/repo/_.._.._x.gguf"),
        ("C:/x.gguf", "org/repo/C_/x.gguf"),
        ("con.gguf", "org/repo/_con.gguf"),
        ("NUL", "org/repo/_NUL"),
        ("com1.gguf/lpt9", "org/repo/_com1.gguf/_lpt9"),
        ("a\0b\n?.gguf", "org/repo/a_b__.gguf"),
        ("trailing. . ", "org/repo/trailing"),
        (".hidden.gguf", "org/repo/_.hidden.gguf"),
        ("x" * 300 + ".gguf", "org/repo/" + "x" * 195 + ".gguf"),
        ("模型" * 50 + ".gguf", "org/repo/" + "型" + "模型" * 32 + ".gguf"),
        ("lone\ud800.gguf", "org/repo/lone_.gguf"),
    ],
)
def test_names_become_plain_ones_inside_the_folder(name: str, expected: str) -> None:
    path = local_path(Path("models"), "org/repo", name)

    assert path == Path("models") / expected
    assert ".." not in path.parts
