"""Quantities as people write them: '10M', '1.5 GiB', '2h10min' <-> numbers."""

import re

_COUNT_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
_BYTE_UNITS = {
    "": 1,
    "B": 1,
    **{f"{p}B": 10 ** (3 * (i + 1)) for i, p in enumerate("kMGT")},
    "KB": 10**3,
    **{f"{p}iB": 2 ** (10 * (i + 1)) for i, p in enumerate("KMGT")},
}
_SECONDS = {"d": 86400.0, "h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
_NUMBER = r"(\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)"


def _parse(text: str, units: dict[str, int], kind: str, example: str) -> int:
    match = re.fullmatch(rf"\s*{_NUMBER}\s*([A-Za-z]*)\s*", text)
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r} is not a {kind}; write it like {example}")
    value = float(match[1].replace("_", "")) * units[match[2]]
    if value != int(value):
        raise ValueError(f"{text!r} is not a whole {kind}; write it like {example}")
    return int(value)


def parse_count(text: str) -> int:
    """'10M' -> 10_000_000. Units k, M, B (or G), T. Raises ValueError."""
    return _parse(text, _COUNT_UNITS, "number", "250k, 10M or 1.5B")


def parse_bytes(text: str) -> int:
    """'1.5 GiB' -> 1_610_612_736. Units B, kB ... TB and KiB ... TiB. Raises ValueError."""
    return _parse(text, _BYTE_UNITS, "size", "512 MiB or 1.5 GiB")


def parse_duration(text: str) -> float:
    """'2h10min' -> 7800.0 seconds. Units d, h, min (or m), s, ms. Raises ValueError."""
    parts = re.findall(rf"{_NUMBER}\s*(min|ms|d|h|m|s)\s*", text)
    if not parts or "".join(re.split(r"\s+", text)) != "".join(n + u for n, u in parts):
        raise ValueError(f"{text!r} is not a duration; write it like 90s, 15min or 2h10min")
    return sum(float(n.replace("_", "")) * _SECONDS[u] for n, u in parts)


def format_count(value: float) -> str:
    """10_000_000 -> '10.0M': three significant figures and a unit."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size * 0.9995:
            return f"{_three(value / size)}{unit}"
    return f"{value:.0f}" if value == int(value) else _three(value)


def format_bytes(value: float) -> str:
    """1_610_612_736 -> '1.50 GiB'."""
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(value) >= size * 0.9995:
            return f"{_three(value / size)} {unit}"
    return f"{value:.0f} B"


def format_duration(seconds: float) -> str:
    """7800.0 -> '2h10min': the two largest units; 0.25 -> '0.25s'."""
    if seconds < 10:
        return f"{seconds:.2g}s"
    total = round(seconds)
    days, hours, minutes = total // 86400, total % 86400 // 3600, total % 3600 // 60
    if days:
        return f"{days}d{hours}h" if hours else f"{days}d"
    if hours:
        return f"{hours}h{minutes}min" if minutes else f"{hours}h"
    if minutes:
        return f"{minutes}min{total % 60}s" if total % 60 else f"{minutes}min"
    return f"{total}s"


def _three(value: float) -> str:
    magnitude = abs(value)
    return f"{value:.{2 if magnitude < 9.995 else 1 if magnitude < 99.95 else 0}f}"
