"""The tables of `compute` and their status graphs: what donors give, what projects were granted, what ran and what it cost.

GPU time is kept in ticks of 1/840 GPU-second (core.units). *Flavor ticks* are time on one kind of accelerator; *reference
ticks* are the same time after the dated exchange table, the unit grants are counted in.
"""

from compute.models.activity import AttemptActivity
from compute.models.calibration import ProposalStatus, RateProposal, RateProposalLine
from compute.models.expectations import RangeCorrection, ToldStart
from compute.models.grants import ComputeGrant, ExpiryReminder, ForecastWarning, GrantStatus, WarningKind
from compute.models.hosts import PoolHost
from compute.models.jobs import (
    Artefact,
    AttemptDraw,
    AttemptStatus,
    FailureCause,
    Job,
    JobAttempt,
    JobKind,
    JobStatus,
    JobWait,
    Origin,
    SourceKind,
    UsageRecord,
)
from compute.models.memory import SchedulerMemory, SchedulerTurn
from compute.models.offers import ComputeOffer, ExchangeRate, Flavor, IdleRule, OfferKind, OfferStatus, Pool, PoolStatus, Trust
from compute.models.priorities import RANK_MAX, PriorityClass, PriorityUse
from compute.models.quotas import QuotaGroup, QuotaShare, ReclaimNotice
from compute.models.run_limits import RUN_LIMIT_MAX, RunLimit
from compute.models.shares import WEIGHT_MAX, ProjectWeight
from compute.models.what_if import WhatIf, WhatIfStatus
from compute.models.windows import PoolWindow, WindowKind, WindowStatus

__all__ = [
    "RANK_MAX",
    "RUN_LIMIT_MAX",
    "WEIGHT_MAX",
    "Artefact",
    "AttemptActivity",
    "AttemptDraw",
    "AttemptStatus",
    "ComputeGrant",
    "ComputeOffer",
    "ExchangeRate",
    "ExpiryReminder",
    "FailureCause",
    "Flavor",
    "ForecastWarning",
    "GrantStatus",
    "IdleRule",
    "Job",
    "JobAttempt",
    "JobKind",
    "JobStatus",
    "JobWait",
    "OfferKind",
    "OfferStatus",
    "Origin",
    "Pool",
    "PoolHost",
    "PoolStatus",
    "PoolWindow",
    "PriorityClass",
    "PriorityUse",
    "ProjectWeight",
    "ProposalStatus",
    "QuotaGroup",
    "QuotaShare",
    "RangeCorrection",
    "RateProposal",
    "RateProposalLine",
    "ReclaimNotice",
    "RunLimit",
    "SchedulerMemory",
    "SchedulerTurn",
    "SourceKind",
    "ToldStart",
    "Trust",
    "UsageRecord",
    "WarningKind",
    "WhatIf",
    "WhatIfStatus",
    "WindowKind",
    "WindowStatus",
]
