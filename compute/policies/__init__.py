"""Pure rules of `compute`: what time is worth, who may draw on what, and what a job may ask for."""

from compute.policies.accounting import (
    AHEAD_MAX,
    OVERHEAD,
    charged_seconds,
    device_ticks,
    handed_over_by,
    in_reference,
    say_gpu_time,
    soonest_first,
)
from compute.policies.offers import OfferPolicy, Request
from compute.policies.submission import (
    ARTEFACT_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    check_artefact_globs,
    check_environment,
    check_source,
    parse_duration,
    parse_environment,
)

__all__ = [
    "AHEAD_MAX",
    "ARTEFACT_BYTES_MAX",
    "OUTPUT_BYTES_MAX",
    "OVERHEAD",
    "OfferPolicy",
    "Request",
    "charged_seconds",
    "check_artefact_globs",
    "check_environment",
    "check_source",
    "device_ticks",
    "handed_over_by",
    "in_reference",
    "parse_duration",
    "parse_environment",
    "say_gpu_time",
    "soonest_first",
]
