"""Background work as rows: enqueued in the caller's transaction, run by workers under a lease, parked where people look.

@dataclass(frozen=True)
class SendPayout(tasks.Task):        # in the domain's services: what there is to do
    kind = "payouts.send"
    payout_id: UUID

tasks.enqueue(session, SendPayout(payout.id), now=now)

@tasks.handler(SendPayout)           # in the domain's tasks.py: how it is done
def send_payout(task: SendPayout, run: tasks.Run) -> None: ...
"""

from core.tasks.models import TaskRow, TaskStatus
from core.tasks.queue import Postpone, Run, Task, enqueue, handler, registered, retry

__all__ = ["Postpone", "Run", "Task", "TaskRow", "TaskStatus", "enqueue", "handler", "registered", "retry"]
