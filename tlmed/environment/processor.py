"""The processor: its name, and the instructions by which numeric libraries choose code, which moves the last bits."""

import functools
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

# Instructions by which oneDNN, Eigen, OpenBLAS and OpenVINO choose their code.
INSTRUCTIONS = (
    *("sse4_1", "sse4_2", "avx", "fma", "f16c", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512dq"),
    *("avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)
# Common names of families, the newest first; the first one whose flags are all present names a processor.
_FAMILIES = (
    ("AMX", ("amx_tile", "amx_bf16")),
    ("AVX512-BF16", ("avx512f", "avx512_bf16")),
    ("AVX512", ("avx512f",)),
    ("AVX2", ("avx2",)),
    ("AVX", ("avx",)),
    ("SSE4.2", ("sse4_2",)),
    ("SVE", ("sve",)),
    ("NEON", ("asimd",)),
)


@functools.cache
def describe_processor() -> dict:
    """Return `name`, `architecture` and `features`, those of `INSTRUCTIONS` that it has.

    They are read from /proc/cpuinfo on Linux and from `sysctl` on macOS; elsewhere `features` is empty.
    """
    name, flags = _read_cpuinfo(Path("/proc/cpuinfo")) if os.path.exists("/proc/cpuinfo") else _ask_sysctl()
    return {
        "name": name or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "features": [flag for flag in INSTRUCTIONS if flag in flags],
    }


def name_family(features: Iterable[str]) -> str:
    """Return the newest family of vector instructions among some features.

    >>> name_family(["avx", "avx2", "avx512f"]), name_family([])
    ('AVX512', 'no known vector instructions')
    """
    have = set(features)
    return next((name for name, needs in _FAMILIES if have >= set(needs)), "no known vector instructions")


def _read_cpuinfo(path: Path) -> tuple[str, set[str]]:
    fields = {}
    for line in path.read_text(errors="replace").splitlines():
        key, _, value = line.partition(":")
        # The file repeats all fields for each core: the first one is enough.
        fields.setdefault(key.strip().lower(), value.strip())
    return fields.get("model name", ""), set((fields.get("flags") or fields.get("features") or "").split())


def _ask_sysctl() -> tuple[str, set[str]]:
    def ask(key: str) -> str:
        try:
            return subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    flags = f"{ask('machdep.cpu.features')} {ask('machdep.cpu.leaf7_features')}".lower().replace(".", "_").split()
    # Macs with ARM list no features by these keys, and all have NEON.
    return ask("machdep.cpu.brand_string"), {"asimd"} if platform.machine() == "arm64" else set(flags)
