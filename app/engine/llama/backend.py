"""Starting llama.cpp in this process: environment, native log, compute devices."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import re
from collections import deque
from collections.abc import MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.domain.memory import HOST, Device, DeviceKind
from app.engine.host_memory import host_memory

__all__ = [
    "Device",
    "DeviceKind",
    "LogTail",
    "binding_version",
    "clean_reason",
    "device_handles",
    "devices",
    "ggml_base",
    "physical_cores",
    "prepare_process",
    "start_backend",
]

_LOG = logging.getLogger(__name__)
_LOG.addHandler(logging.NullHandler())
# Hundreds of lines per model: only who asks for them (`LogTail`) gets all; the program's log gets the warnings.
_NATIVE = logging.getLogger("app.engine.llama.native")
_NATIVE.propagate = False
# Both make the libraries load code from a place somebody else chose.
_UNSAFE_VARIABLES = ("GGML_BACKEND_PATH", "LLAMA_CPP_LIB_PATH")
# Nine of ten lines of a plan, and half of its time. Nobody reads them.
_CHATTER = (b"llama_graph_n_input_tensors: ", b"create_tensor: loading tensor ")
_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR, 5: logging.INFO}


class LogTail(logging.Handler):
    """Keeps the last lines of llama.cpp's log. Attach with `open`, detach with `close`; safe on any thread."""

    def __init__(self, n_lines: int = 200) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[str] = deque(maxlen=n_lines)
        self._errors: deque[str] = deque(maxlen=20)

    def open(self) -> LogTail:
        _NATIVE.addHandler(self)
        _NATIVE.setLevel(logging.INFO)
        return self

    def close(self) -> None:
        _NATIVE.removeHandler(self)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        self._lines.append(line)
        if record.levelno >= logging.ERROR:
            self._errors.append(line)

    @property
    def tail(self) -> tuple[str, ...]:
        return tuple(self._lines)[-40:]

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(self._errors)


def prepare_process(folder: Path, environment: MutableMapping[str, str] = os.environ) -> None:
    """Make the process safe before llama_cpp is imported: first call of a worker.

    The working folder is searched for backend libraries on some systems, so it must be one of ours; variables that name other
    libraries go; and a failed assertion must not start a debugger to print a backtrace.
    """
    os.chdir(folder)
    for name in _UNSAFE_VARIABLES:
        environment.pop(name, None)
    environment["GGML_NO_BACKTRACE"] = "1"
    _calm_threads(environment)


def _calm_threads(environment: MutableMapping[str, str]) -> None:
    """Let waiting compute threads sleep. They spin otherwise, and beside other busy programs a step takes ten times as long.

    The OpenMP runtime reads these when it is loaded, so later changes have no effect.
    """
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    # Some ten microseconds, the time between two operations. On two quiet cores a small model wrote 67 tokens a second with
    # 100, 100 with 1,000, 105 with the runtime's own 300,000; beside a busy program 54, 32 and 35, of eight answers 94, 86, 56.
    environment.setdefault("GOMP_SPINCOUNT", "1000")


def start_backend() -> Any:
    """Import llama_cpp, send its log to `logging` and not to stderr, and initialise it; return the bindings. Repeatable."""
    _calm_threads(os.environ)
    # Costs a second, and must come after `prepare_process`.
    import llama_cpp.llama_cpp as native
    from llama_cpp import mtmd_cpp as mtmd

    callback = _log_callback(native)
    native.llama_log_set(callback, None)
    mtmd.mtmd_log_set(callback, None)
    mtmd.mtmd_helper_log_set(callback, None)
    native.llama_backend_init()
    return native


def binding_version() -> str:
    import llama_cpp

    return str(llama_cpp.__version__)


def _log_callback(native: Any) -> Any:
    """The one callback llama.cpp keeps for the life of the process; stored on the library so that it is never collected."""
    callback = getattr(native._lib, "hearth_log_callback", None)
    if callback is None:
        callback = native.llama_log_callback(_on_log)
        native._lib.hearth_log_callback = callback
    return callback


def _on_log(level: int, text: bytes, _data: object) -> None:
    number = _LEVELS.get(level, logging.DEBUG)
    if number < logging.WARNING and (not _NATIVE.handlers or text.startswith(_CHATTER)):
        return
    line = text.decode("utf-8", "replace").strip()
    if not line.strip("."):
        return
    if _NATIVE.handlers:
        _NATIVE.log(number, "%s", line)
    if number >= logging.WARNING:
        _LOG.log(number, "%s", line)


def devices() -> tuple[Device, ...]:
    """The compute devices of this build on this machine, with the memory they have left."""
    bound = _bound_ggml()
    return tuple(_device(bound[1], *found) for found in _handles(*bound).items()) if bound is not None else ()


def device_handles() -> dict[str, int]:
    """Addresses of the devices, by name."""
    bound = _bound_ggml()
    return _handles(*bound) if bound is not None else {}


def ggml_base() -> ctypes.CDLL | None:
    """The library below llama.cpp, for functions the bindings lack. What is declared of them holds for this object alone."""
    return _library(Path(start_backend().__file__).parent / "lib", "ggml-base")


def _bound_ggml() -> tuple[ctypes.CDLL, ctypes.CDLL] | None:
    """The libraries that know the devices, with what is used of them declared: the bindings lack it."""
    registry, base = _library(Path(start_backend().__file__).parent / "lib", "ggml"), ggml_base()
    if registry is None or base is None:
        return None
    registry.ggml_backend_dev_count.restype = ctypes.c_size_t
    registry.ggml_backend_dev_get.restype = ctypes.c_void_p
    registry.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    for name in ("ggml_backend_dev_name", "ggml_backend_dev_description"):
        function = getattr(base, name)
        function.restype, function.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    base.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    size = ctypes.POINTER(ctypes.c_size_t)
    base.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, size, size]
    return registry, base


def _handles(registry: ctypes.CDLL, base: ctypes.CDLL) -> dict[str, int]:
    found = [registry.ggml_backend_dev_get(i) for i in range(registry.ggml_backend_dev_count())]
    return {base.ggml_backend_dev_name(handle).decode("utf-8", "replace"): handle for handle in found}


def _device(base: ctypes.CDLL, name: str, handle: int) -> Device:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    base.ggml_backend_dev_memory(handle, ctypes.byref(free), ctypes.byref(total))
    kind = base.ggml_backend_dev_type(handle)
    device = Device(
        name,
        base.ggml_backend_dev_description(handle).decode("utf-8", "replace"),
        DeviceKind(kind) if kind in (0, 1, 2, 3) else DeviceKind.ACCELERATOR,
        free.value,
        total.value,
    )
    if device.kind is not DeviceKind.CPU:
        return device
    # llama.cpp calls all memory free, and knows nothing of a container's limit.
    memory = host_memory()
    return replace(device, name=HOST, free_bytes=memory.free_bytes, total_bytes=memory.total_bytes or device.total_bytes)


def _library(folder: Path, stem: str) -> ctypes.CDLL | None:
    for name in (f"lib{stem}.so", f"lib{stem}.dylib", f"{stem}.dll", f"lib{stem}.dll"):
        if (folder / name).exists():
            return ctypes.CDLL(str(folder / name))
    return None


def physical_cores() -> int:
    """Cores, not hyper-threads: the second thread of a core slows matrix work down. At least 1."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(available, _cores_by_system() or available))


def _cores_by_system() -> int | None:
    system = platform.system()
    if system == "Linux":
        return _cores_on_linux(Path("/sys/devices/system/cpu"))
    if system == "Darwin":
        return _cores_on_mac()
    # Nearly every Windows desktop has two threads per core.
    return max(1, (os.cpu_count() or 2) // 2)


def _cores_on_linux(root: Path) -> int | None:
    pairs = {path.read_text().strip() for path in root.glob("cpu[0-9]*/topology/thread_siblings_list") if path.is_file()}
    return len(pairs) or None


def _cores_on_mac() -> int | None:
    library = ctypes.CDLL(None)
    for name in (b"hw.perflevel0.physicalcpu", b"hw.physicalcpu"):
        value, size = ctypes.c_int(0), ctypes.c_size_t(4)
        if (
            library.sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)) == 0
            and value.value > 0
        ):
            return value.value
    return None


def clean_reason(line: str) -> str:
    """A line of llama.cpp's log without the names of its functions, as the end of a sentence without its full stop."""
    return re.sub(r"^(?:[A-Za-z_][\w:]*: )*(?:error loading model: )?", "", line).strip().rstrip(".")
