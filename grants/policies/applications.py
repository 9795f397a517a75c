"""What may be asked for, and what an application must say."""

from collections.abc import Callable, Sequence

from core.money import Money
from grants.models import Application, ApplicationQuestion, Programme


def fits_request_rule(amount: Money, programme: Programme) -> bool:
    """Whether an amount is one the programme's request rule allows: the minimum, or a multiple of the step, up to the maximum."""
    minimum, step, maximum = programme.request_min_minor, programme.request_step_minor, programme.request_max_minor
    if minimum is not None and amount.amount_minor < minimum:
        return False
    if maximum is not None and amount.amount_minor > maximum:
        return False
    return step is None or amount.amount_minor == minimum or amount.amount_minor % step == 0


def request_rule_in_words(programme: Programme, say: Callable[[Money], str] = str) -> str:
    """The request rule as a phrase: "10,000.00 USD, or a multiple of 25,000.00 USD up to 100,000.00 USD".

    `say` writes an amount; pages give the one that writes $10,000.00.
    """
    minimum, step, maximum = (
        say(amount) if amount else None for amount in (programme.request_min, programme.request_step, programme.request_max)
    )
    if step is not None:
        start = f"{minimum}, or a multiple of {step}" if minimum and minimum != step else f"a multiple of {step}"
        return f"{start} up to {maximum}" if maximum else start
    if minimum and maximum:
        return f"{minimum} to {maximum}" if minimum != maximum else f"exactly {minimum}"
    if minimum:
        return f"{minimum} or more"
    return f"up to {maximum}" if maximum else "any amount"


# The common fields of an application: name, what people call it, and its longest text.
APPLICATION_FIELDS: dict[str, tuple[str, int]] = {
    "project_name": ("the project's name", 250),
    "project_url": ("the project's address", 500),
    "repository_url": ("the repository's address", 500),
    "summary": ("what the project does", 4000),
    "use_of_funds": ("what the money is for", 8000),
    "plan": ("what will be done, and by when", 8000),
    "team": ("who will do the work", 4000),
    "payee_name": ("who would receive the money", 250),
    "conflicts": ("what connects you with the funder, or that nothing does", 4000),
}
REQUIRED_FIELDS = ("project_name", "project_url", "summary", "use_of_funds", "plan", "team", "payee_name", "conflicts")


def missing_for_submission(application: Application, questions: Sequence[ApplicationQuestion]) -> dict[str, str]:
    """What still keeps a draft from being submitted: field (or `answers.<key>`) → a sentence for beside it."""
    missing = {
        name: f"Say {APPLICATION_FIELDS[name][0]}." for name in REQUIRED_FIELDS if not str(getattr(application, name)).strip()
    }
    if application.payee is None:
        missing["payee"] = "Choose how the money would be received."
    if application.requested is None:
        missing["requested"] = "Say how much you ask for."
    elif not application.exception_reason and not fits_request_rule(application.requested, application.programme):
        missing["requested"] = (
            f"{application.requested} is outside this programme's rule: ask for {request_rule_in_words(application.programme)}."
        )
    for question in questions:
        if question.required and not str(application.answers.get(question.key, "")).strip():
            missing[f"answers.{question.key}"] = f"Answer “{question.label}”."
    return missing
