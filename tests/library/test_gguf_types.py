"""The tables against the reference package."""

from __future__ import annotations

from gguf.constants import GGML_QUANT_SIZES, LlamaFileType

from app.library.gguf_types import FILE_TYPES, TENSOR_TYPES


def test_tensor_types_have_the_sizes_of_the_reference() -> None:
    for kind, (block, size_bytes) in GGML_QUANT_SIZES.items():
        # The reference counts Q8_1's two halves as floats; files never hold this type.
        if kind.name != "Q8_1":
            assert TENSOR_TYPES[kind.value] == (kind.name, block, size_bytes)


def test_every_file_type_of_the_reference_has_its_name() -> None:
    for kind in LlamaFileType:
        if kind is not LlamaFileType.GUESSED:
            expected = kind.name.removeprefix("MOSTLY_").removeprefix("ALL_").removesuffix("_MOE")
            assert FILE_TYPES[kind.value] == expected
