"""Counting the GPUs of a machine from what its driver says."""

from pathlib import Path

import pytest
from executor_jobs import ran, spec

from compute.executors.base import AttemptState, ExecutorError
from compute.executors.devices import Allocation, Device, declared, detected, flavor_of, parse_listing
from compute.executors.local import LocalExecutor

WHOLE = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5b0a9d5e-1c3f-4a0e-8f0e-5a1f3c1d2e3f)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-6c1b0e6f-2d40-4b1f-9010-6b204d2e3f40)
"""

SLICED = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-11111111-2222-3333-4444-555555555555)
  MIG 3g.40gb     Device  0: (UUID: MIG-aaaaaaaa-1111-5222-8333-444444444444)
  MIG 1g.10gb     Device  1: (UUID: MIG-bbbbbbbb-1111-5222-8333-444444444444)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-99999999-2222-3333-4444-555555555555)
"""


def test_whole_gpus_are_named_as_cuda_takes_them() -> None:
    assert parse_listing(WHOLE, {}) == [
        Device("GPU-5b0a9d5e-1c3f-4a0e-8f0e-5a1f3c1d2e3f", "h100", is_gpu=True),
        Device("GPU-6c1b0e6f-2d40-4b1f-9010-6b204d2e3f40", "h100", is_gpu=True),
    ]


def test_a_sliced_gpu_counts_as_its_slices() -> None:
    assert [device.flavor for device in parse_listing(SLICED, {})] == ["a100-3g-40gb", "a100-1g-10gb", "a100"]


def test_the_operator_may_name_flavors() -> None:
    flavors = {"NVIDIA A100-SXM4-80GB": "a100-80", "NVIDIA A100-SXM4-80GB MIG 1g.10gb": "small"}

    assert [device.flavor for device in parse_listing(SLICED, flavors)] == ["a100-80-3g-40gb", "small", "a100-80"]


@pytest.mark.parametrize(
    ("product", "flavor"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA L40S", "l40s"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA RTX A6000", "rtxa6000"),
        ("NVIDIA GH200 480GB", "gh200"),
    ],
)
def test_flavors_are_named_after_the_product(product: str, flavor: str) -> None:
    assert flavor_of(product) == flavor


def test_a_machine_without_the_tool_has_its_declared_slots() -> None:
    executor = LocalExecutor(slots={"CPU": 3}, nvidia_smi="no-such-tool")

    assert (executor.capacity().gpus, executor.capacity().detected) == ({"CPU": 3}, False)


def _tool(folder: Path, script: str) -> str:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(0o755)
    return str(tool)


def test_a_machine_with_the_tool_is_asked(tmp_path: Path) -> None:
    (tmp_path / "listing").write_text(WHOLE, encoding="utf-8")
    executor = LocalExecutor(slots={"CPU": 1}, nvidia_smi=_tool(tmp_path, f'[ "$1" = -L ] && cat {tmp_path}/listing'))

    assert (executor.capacity().gpus, executor.capacity().detected) == ({"h100": 2, "CPU": 1}, True)


def test_a_broken_driver_is_not_a_machine_without_gpus(tmp_path: Path) -> None:
    with pytest.raises(ExecutorError, match="can't list the GPUs") as broken:
        detected(_tool(tmp_path, "exit 9"))

    assert not broken.value.permanent


def test_a_broken_driver_does_not_stop_jobs_that_need_no_gpu(tmp_path: Path) -> None:
    executor = LocalExecutor(slots={"CPU": 1}, folder=tmp_path / "jobs", nvidia_smi=_tool(tmp_path, "exit 9"))

    assert ran(executor, spec("true")).state is AttemptState.SUCCEEDED
    with pytest.raises(ExecutorError, match="can't list the GPUs"):
        executor.start(spec("true", flavor="h100"))


def test_a_job_without_a_gpu_is_told_to_see_none() -> None:
    (slot,) = declared({"CPU": 1})

    assert Allocation((slot,), ()).environment == {"CUDA_VISIBLE_DEVICES": "", "PLEDGEWORKS_DEVICES": "CPU-0"}
    assert Allocation(tuple(parse_listing(WHOLE, {})), ()).environment["CUDA_VISIBLE_DEVICES"].count("GPU-") == 2
