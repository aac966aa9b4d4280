"""PyInstaller hook: ship each llama.cpp library once, under the name its users ask the loader for.

The wheel holds every library three times (`libggml.so`, `.so.0`, `.so.0.25.3`: a wheel can't hold symlinks). Collecting them
all would load two copies of ggml with two backend registries. `hearth.spec` adds the unversioned names as symlinks.
"""

import re
from pathlib import Path

from PyInstaller.utils.hooks import get_package_paths

_, package = get_package_paths("llama_cpp")
binaries = [
    (str(library), "llama_cpp/lib")
    for library in Path(package, "lib").iterdir()
    if re.fullmatch(r"lib[\w-]+\.so\.\d+", library.name)
]
