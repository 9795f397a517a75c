"""How commodities are named and written: ISO 4217 currencies in minor units, GPU time in ticks of 1/840 GPU-second."""

import re

from core.errors import InvalidInput
from core.money import Money
from core.units import format_gpu_hours

GPU_REFERENCE = "GPU.REF"
"""Reference GPU time: what compute grants are counted in."""

_GPU_CODE = re.compile(r"GPU\.[A-Z0-9._-]{0,18}[A-Z0-9]")


def gpu_commodity(flavor: str) -> str:
    """The commodity code of a flavor's GPU time: `nvidia-a100` → `GPU.NVIDIA-A100`.

    Raises:
        InvalidInput: no letter or digit in it, or longer than exports can take (20 characters).
    """
    slug = re.sub(r"[^A-Z0-9.-]+", "-", flavor.upper()).strip("-.")
    code = f"GPU.{slug}"
    if not _GPU_CODE.fullmatch(code):
        raise InvalidInput(
            f"“{flavor[:60]}” can't name a flavor; use one to twenty letters, digits, dots and dashes.", field="flavor"
        )
    return code


def is_gpu_time(commodity: str) -> bool:
    """Whether a commodity counts GPU time rather than money."""
    return commodity.startswith("GPU.")


def amount_in_words(amount: int, commodity: str) -> str:
    """An amount for error sentences and tables: `1,200.00 USD`, `12.50 GPU.H100 hours`."""
    if is_gpu_time(commodity):
        return f"{format_gpu_hours(amount)} {commodity} hours"
    return str(Money(amount, commodity))
