"""What a running job was seen doing, as JSON."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from compute.queries.activity import Shown


class ActivityOut(BaseModel):
    """What the devices and processes of a running job were seen doing at the newest look."""

    idle: bool = Field(description="Whether it holds its devices and does nothing, for longer than its pool lets pass.")
    in_words: str
    advice: str = Field(description="What to do about it; empty unless idle.")
    looked_at: datetime | None = Field(description="None: nobody looked yet, or its executor does not say.")
    idle_since: datetime | None = Field(description="Since when every look found it doing nothing.")
    gpu_percent: int | None = Field(description="How busy the busiest of its GPUs was; none: not measured.")
    cpu_cores: float | None = Field(description="What its processes used between the two newest looks; none: not measured.")

    @classmethod
    def of(cls, found: Shown) -> Self:
        look = found.look
        return cls(
            idle=found.idle,
            in_words=found.sentence,
            advice=found.advice,
            looked_at=look.looked_at if look else None,
            idle_since=look.idle_since if look else None,
            gpu_percent=look.gpu_percent if look else None,
            cpu_cores=look.cpu_millicores / 1000 if look and look.cpu_millicores is not None else None,
        )
