"""The supervisor of one attempt: `python -m compute.executors.supervise FOLDER LOCK_FD [DEVICE_FD...]`.

It is started by the local executor and then lives on its own: no worker, no database, only its folder (rundir.py). It checks
out the sources, runs the command in a session of its own, keeps time, memory and output within limits, ends every process of
the attempt, keeps the artefacts and writes the result. The inherited locks say that it lives; the kernel drops them with it.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from compute.executors import checkout, files, processes
from compute.executors.artefacts import Collected, collect
from compute.executors.base import AttemptState, Repository, Stop
from compute.executors.output import Output
from compute.executors.rundir import MARKER, Orders, Progress, Result, RunDir
from compute.executors.watch import Ending, Watch

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Supervisor:
    """One attempt from its orders to its result."""

    def __init__(self, folder: RunDir, orders: Orders, device_files: list[int]) -> None:
        self._folder = folder
        self._orders = orders
        self._spec = orders.spec
        self._device_files = device_files
        self._output = Output(folder.output, orders.spec.output_bytes_max)
        self._watch = Watch(folder, self._output, orders.limits, orders.spec.memory_bytes, self._stop_asked)
        self._progress = Progress(AttemptState.STARTING, orders.devices)
        self._began: float | None = None  # monotonic: a change of the wall clock must not change what a job is charged
        self._shutdown = False

    def run(self) -> None:
        """Do all of it. Whatever happens, no process is left and there is a result."""
        signal.signal(signal.SIGTERM, self._on_shutdown)
        signal.signal(signal.SIGINT, self._on_shutdown)
        self._folder.write_progress(self._progress)
        try:
            processes.become_subreaper()
            for path in (self._folder.work, self._folder.home, self._folder.tmp):
                path.mkdir()
            ending = self._stop_asked() or self._check_out() or self._run_command()
        except Exception as error:  # noqa: BLE001 - whatever it was, the attempt must end with a result that says so
            traceback.print_exc()
            processes.kill_descendants({})
            ending = Ending(None, AttemptState.FAILED, f"The executor failed: {error}.", infrastructure=True)
        elapsed = time.monotonic() - self._began if self._began is not None else None
        for file in self._device_files:
            os.close(file)  # nothing of the attempt runs any more: the next one may have them
        self._conclude(ending, elapsed)

    def _check_out(self) -> Ending | None:
        """Fetch the sources. None: they are there, or none are wanted."""
        source = self._spec.source
        if not isinstance(source, Repository):
            return None
        began = time.monotonic()
        environment = {**checkout.environment(source, self._folder.home), MARKER: str(self._spec.attempt_id)}
        ending = self._steps(source, environment, began)
        if ending is None:
            self._output.note(f"Checked out {source.commit} of {source.url} in {time.monotonic() - began:.1f} s.")
        return ending

    def _steps(self, source: Repository, environment: Mapping[str, str], began: float) -> Ending | None:
        for step in checkout.steps(source, self._folder.path):
            ending = self._git(step.command, environment, began)
            if ending.exit_code == 0:
                continue
            if ending.state is not None:
                return ending
            if step.fault and step.fault_said in self._folder.output.read_bytes():
                return Ending(None, AttemptState.FAILED, step.fault)
            if step.fallback is not None:
                ending = self._git(step.fallback, environment, began)
            if ending.state is not None:
                return ending
            if ending.exit_code != 0:
                reason = f"Could not {step.what} from {source.url}; the output says why."
                return Ending(None, AttemptState.FAILED, reason, infrastructure=True)
        files.remove(self._folder.proof)
        return None

    def _git(self, command: list[str], environment: Mapping[str, str], began: float) -> Ending:
        allowed = self._orders.limits.checkout_seconds
        reason = f"Fetching the sources took longer than {allowed} s."
        return self._watch.run(
            command,
            cwd=self._folder.path,
            environment=environment,
            seconds=max(0.0, allowed - (time.monotonic() - began)),
            late=Ending(None, AttemptState.FAILED, reason, infrastructure=True),
        )

    def _run_command(self) -> Ending:
        spec = self._spec
        reason = f"It was stopped after the {spec.wall_seconds} s it had declared."
        return self._watch.run(
            list(spec.command),
            cwd=self._folder.work,
            environment={
                "PATH": SEARCH_PATH,
                "LANG": "C.UTF-8",
                "CI": "true",
                **spec.environment,
                **self._orders.device_environment,
                "HOME": str(self._folder.home),
                "TMPDIR": str(self._folder.tmp),
                "PLEDGEWORKS_JOB_ID": str(spec.job_id),
                MARKER: str(spec.attempt_id),
            },
            seconds=spec.wall_seconds,
            late=Ending(None, AttemptState.TIMED_OUT, reason),
            began=self._command_began,
        )

    def _command_began(self, leader: int) -> None:
        self._began = time.monotonic()
        self._progress = replace(
            self._progress, state=AttemptState.RUNNING, started_at=datetime.now(UTC), session=processes.leader(leader)
        )
        self._folder.write_progress(self._progress)

    def _conclude(self, ending: Ending, elapsed: float | None) -> None:
        """Keep what is to be kept, write the result, clear the rest away."""
        kept = Collected((), "")
        try:
            if elapsed is not None:
                kept = collect(self._folder, self._spec.artefact_globs, self._spec.artefact_bytes_max)
            self._output.finish([sentence for sentence in (ending.reason, kept.note) if sentence])
        except OSError as error:  # how the job ended is known all the same, and must not get lost over its files
            traceback.print_exc()
            ending = replace(ending, reason=f"{ending.reason} Its output or artefacts are not complete: {error}.".strip())
        started_at = self._progress.started_at
        if started_at is not None and elapsed is not None:
            ended_at = started_at + timedelta(seconds=elapsed)
        else:
            ended_at = datetime.now(UTC)
        self._folder.write_result(
            Result(
                state=ending.state or (AttemptState.SUCCEEDED if ending.exit_code == 0 else AttemptState.FAILED),
                reason=ending.reason,
                infrastructure=ending.infrastructure,
                started_at=started_at,
                ended_at=ended_at,
                exit_code=ending.exit_code,
                devices=self._orders.devices,
                artefacts=kept.artefacts,
            )
        )
        files.remove(*self._folder.scratch)

    def _stop_asked(self) -> Ending | None:
        request = self._folder.stop_request()
        if request is not None:
            evicted = request.stop is Stop.EVICTED
            state = AttemptState.EVICTED if evicted else AttemptState.CANCELLED
            return Ending(None, state, request.reason, infrastructure=evicted)
        if self._shutdown:
            return Ending(None, AttemptState.EVICTED, "The machine it ran on was shut down.", infrastructure=True)
        return None

    def _on_shutdown(self, *_: object) -> None:
        self._shutdown = True


def main(arguments: list[str]) -> None:
    """Leave the caller and supervise. Returns in the caller's child at once, so that nobody has to wait for us."""
    folder = RunDir(Path(arguments[0]))
    if os.fork():
        os._exit(0)
    os.setsid()
    # The lock file stays open for as long as this process lives; it is named only to say so.
    _lock, *device_files = (int(argument) for argument in arguments[1:])
    for file in (_lock, *device_files):
        os.set_inheritable(file, False)
    orders = folder.orders()
    assert orders is not None, "the executor writes the orders before it starts a supervisor"
    Supervisor(folder, orders, device_files).run()


if __name__ == "__main__":
    main(sys.argv[1:])
