"""The devices of this machine, and which attempt has which.

A device has a lock file. Whoever holds its flock has the device; the supervisor of an attempt inherits the open file and the
kernel drops the lock when the supervisor is gone, however it ends. The file also names the attempt: when the lock is free but
that attempt never ended in order, its processes may still use the device and must be found first.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from compute.executors.base import ExecutorError

VENDOR_WORDS = {"NVIDIA", "Tesla", "GeForce", "Quadro", "Graphics", "Device"}


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, one slice of a GPU, or one declared slot."""

    name: str  # unique on this machine; for a GPU the id that CUDA takes
    flavor: str
    is_gpu: bool


def declared(slots: Mapping[str, int]) -> list[Device]:
    """Slots that somebody declared for a machine that can't be asked, such as one without accelerator."""
    return [Device(f"{flavor}-{number}", flavor, is_gpu=False) for flavor, count in slots.items() for number in range(count)]


def detected(nvidia_smi: str = "nvidia-smi", flavors: Mapping[str, str] | None = None) -> list[Device]:
    """The NVIDIA GPUs of this machine; a GPU that is cut into MIG slices counts as its slices. Empty without the tool.

    `flavors` maps the driver's product names to flavors; a product that is not in it gets a name made from the driver's.

    Raises:
        ExecutorError: the tool is there and fails: a machine whose driver is broken must not look like one without GPUs.
    """
    tool = shutil.which(nvidia_smi)
    if tool is None:
        return []
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ExecutorError(f"nvidia-smi is installed but can't list the GPUs: {error}.", permanent=False) from error
    return parse_listing(listing, flavors or {})


GPU_LINE = re.compile(r"GPU \d+: (?P<product>.+) \(UUID: (?P<id>GPU-[0-9a-fA-F-]+)\)")
SLICE_LINE = re.compile(r"\s+MIG (?P<profile>\S+)\s+Device\s+\d+: \(UUID: (?P<id>MIG-[0-9a-fA-F/GPU-]+)\)")


def parse_listing(listing: str, flavors: Mapping[str, str]) -> list[Device]:
    """The devices that `nvidia-smi -L` lists."""
    devices: list[Device] = []
    product = ""
    for line in listing.splitlines():
        if gpu := GPU_LINE.match(line):
            product = gpu["product"]
            devices.append(Device(gpu["id"], flavors.get(product, flavor_of(product)), is_gpu=True))
        elif piece := SLICE_LINE.match(line):
            if devices and devices[-1].name.startswith("GPU-"):
                devices.pop()  # a GPU in MIG mode can be used through its slices only
            cut = f"{product} MIG {piece['profile']}"
            flavor = flavors.get(cut, f"{flavors.get(product, flavor_of(product))}-{_slug(piece['profile'])}")
            devices.append(Device(piece["id"], flavor, is_gpu=True))
    return devices


def flavor_of(product: str) -> str:
    """A flavor's slug from the driver's name: `NVIDIA H100 80GB HBM3` → `h100`, `NVIDIA GeForce RTX 4090` → `rtx4090`."""
    words = [word for word in re.split(r"[ -]+", product) if word not in VENDOR_WORDS]
    if len(words) > 1 and words[0] in {"RTX", "GTX"}:
        return _slug(words[0] + words[1])
    return _slug(words[0] if words else product)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


QUERY = ("--query-gpu=uuid,utilization.gpu", "--format=csv,noheader,nounits")


def busy_percent(nvidia_smi: str = "nvidia-smi") -> dict[str, int]:
    """How busy each GPU was lately, by its id: the part of the last sixth of a second to second in which a kernel ran.

    The driver says nothing for slices (MIG) and for some products; those are left out.

    Raises:
        ExecutorError: the tool can't be asked now.
    """
    tool = shutil.which(nvidia_smi)
    if tool is None:
        return {}
    try:
        listing = subprocess.run([tool, *QUERY], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ExecutorError(f"nvidia-smi can't say how busy the GPUs are: {error}.", permanent=False) from error
    return parse_busy(listing)


def parse_busy(listing: str) -> dict[str, int]:
    """Ids and percentages of what nvidia-smi printed; `[N/A]` is not measured."""
    fields = [line.split(", ") for line in listing.splitlines()]
    return {row[0]: int(row[1]) for row in fields if len(row) == 2 and row[1].strip().isdecimal()}


class Allocation:
    """Devices held for one attempt. Pass `files` to the process that is to hold them; then close them here."""

    def __init__(self, devices: tuple[Device, ...], files: tuple[int, ...]) -> None:
        self.devices = devices
        self.files = files

    def close(self) -> None:
        """Stop holding them in this process."""
        for file in self.files:
            os.close(file)
        self.files = ()

    @property
    def environment(self) -> dict[str, str]:
        """What tells a command its devices. Without a GPU of its own it is told to see none."""
        gpus = ",".join(device.name for device in self.devices if device.is_gpu)
        return {"CUDA_VISIBLE_DEVICES": gpus, "PLEDGEWORKS_DEVICES": ",".join(device.name for device in self.devices)}


def allocate(
    devices: list[Device],
    folder: Path,
    *,
    flavor: str,
    count: int,
    attempt_id: UUID,
    settle_former: Callable[[UUID], None],
) -> Allocation:
    """Take `count` free devices of a flavor, all or none.

    `settle_former` is called with the attempt that had a device last; after it nothing of that attempt runs any more.

    Raises:
        ExecutorError: there are not that many (permanent), or not that many are free now (not permanent).
    """
    candidates = [device for device in devices if device.flavor == flavor]
    if count > len(candidates):
        raise ExecutorError(f"This job needs {count} × {flavor}; this pool has {len(candidates)}.", permanent=True)
    folder.mkdir(parents=True, exist_ok=True)
    taken: list[Device] = []
    files: list[int] = []
    try:
        for device in candidates:
            if len(taken) == count:
                break
            file = _take(folder / re.sub(r"[^\w.-]", "_", device.name), settle_former)
            if file is not None:
                taken.append(device)
                files.append(file)
        if len(taken) < count:
            raise ExecutorError(f"This job needs {count} × {flavor}; {len(taken)} are free in this pool now.", permanent=False)
        for file in files:
            os.ftruncate(file, 0)
            os.pwrite(file, str(attempt_id).encode(), 0)
    except BaseException:
        for file in files:
            os.close(file)
        raise
    return Allocation(tuple(taken), tuple(files))


def _take(path: Path, settle_former: Callable[[UUID], None]) -> int | None:
    """The device's locked file, or None if somebody has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        former = os.pread(file, 64, 0).decode()
        if former:
            settle_former(UUID(former))
    except BlockingIOError:
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    return file
