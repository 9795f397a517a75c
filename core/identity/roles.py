"""The roles in words, for pages and docs/reference/roles.md."""

from core.identity.models import OrganisationRole, Role

WORDS: dict[Role, tuple[str, str]] = {
    Role.OWNER: ("Owner", "manages the organisation's people and has every role below in it"),
    Role.PLEDGE_EDITOR: ("Pledge editor", "enters developers and payments, publishes the annual report"),
    Role.PROGRAMME_OFFICER: ("Programme officer", "screens applications, prepares and records decisions"),
    Role.REVIEWER: ("Reviewer", "reviews applications, declares conflicts, votes"),
    Role.FINANCE: ("Finance", "records money received, prepares payout runs, reconciles"),
    Role.PAYOUT_APPROVER: ("Payout approver", "approves payout runs that somebody else prepared"),
    Role.COMPUTE_DONOR: ("Compute donor", "manages offers of GPUs, reads statements"),
    Role.COMPUTE_SUBMITTER: ("Compute submitter", "submits and cancels a project's jobs"),
    Role.MAINTAINER: ("Maintainer", "applies for grants, accepts them, reports"),
    Role.AUDITOR: ("Auditor", "reads everything in scope, changes nothing"),
}
assert WORDS.keys() == set(Role)

ORGANISATION_WORDS: dict[OrganisationRole, str] = {
    OrganisationRole.COMPANY: "Company",
    OrganisationRole.FOUNDATION: "Foundation",
    OrganisationRole.FISCAL_HOST: "Fiscal host",
    OrganisationRole.INVESTOR: "Investor",
    OrganisationRole.COMPUTE_DONOR: "Compute donor",
}
assert ORGANISATION_WORDS.keys() == set(OrganisationRole)
