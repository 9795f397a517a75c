"""Background work as rows: enqueued in the caller's transaction, run by workers under a lease, parked where people look.

@dataclass(frozen=True)
class SendPayout(tasks.Task):        # beside the services: what there is to do
    kind = "payouts.send"
    payout_id: UUID

tasks.enqueue(session, SendPayout(payout.id), now=now)

@tasks.handler(SendPayout)           # in the domain's tasks.py: how it is done
def send_payout(task: SendPayout, run: tasks.Run) -> None: ...

@tasks.every(seconds=2)              # recurring work, in the one worker that holds the clock
def tick(now: datetime) -> None: ...

@tasks.daily(at=time(2, 0))          # dated work; a day missed while no worker ran is made up for
def remind(now: datetime) -> None: ...
"""

from core.tasks.clock import daily, every
from core.tasks.models import TaskRow, TaskStatus
from core.tasks.queue import Postpone, Run, Task, enqueue, enqueue_many, handler, registered, retry

__all__ = [
    "Postpone",
    "Run",
    "Task",
    "TaskRow",
    "TaskStatus",
    "daily",
    "enqueue",
    "enqueue_many",
    "every",
    "handler",
    "registered",
    "retry",
]
