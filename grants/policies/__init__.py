"""The rules of granting: pure functions over plain values, no database, no clock."""

from grants.policies.applications import (
    APPLICATION_FIELDS,
    REQUIRED_FIELDS,
    fits_request_rule,
    missing_for_submission,
    request_rule_in_words,
)
from grants.policies.caps import Standing, programme_year, require_rule_or_reason, require_within_caps
from grants.policies.hosting import Hosted, HostedPart, through_host, total
from grants.policies.schedule import Milestone, Part, plan
from grants.policies.scoring import mean_score, review_score, shown_score

__all__ = [
    "APPLICATION_FIELDS",
    "REQUIRED_FIELDS",
    "Hosted",
    "HostedPart",
    "Milestone",
    "Part",
    "Standing",
    "fits_request_rule",
    "mean_score",
    "missing_for_submission",
    "plan",
    "programme_year",
    "request_rule_in_words",
    "require_rule_or_reason",
    "require_within_caps",
    "review_score",
    "shown_score",
    "through_host",
    "total",
]
