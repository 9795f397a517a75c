"""What a valid manifest says, in the words an application asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from grants.manifests.rules import SPDX_PREFIX


@dataclass(frozen=True, slots=True)
class OfferedProject:
    """One project of a manifest. SPDX licences come without their prefix, others as they are written."""

    guid: str
    name: str
    description: str
    webpage: str
    repository: str
    licences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfferedPlan:
    """One active plan; an amount of 0 stands for any."""

    name: str
    description: str
    amount: Decimal
    currency: str
    frequency: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The parts of a manifest that an application starts from."""

    entity_name: str
    entity_description: str
    is_individual: bool
    projects: tuple[OfferedProject, ...]
    plans: tuple[OfferedPlan, ...]

    def project(self, guid: str | None) -> OfferedProject:
        """The project of this guid, or the first one."""
        return next((project for project in self.projects if project.guid == guid), self.projects[0])


def summarise(document: Mapping[str, Any]) -> Summary:
    """The summary of a document in which the validator found no error."""
    entity = document["entity"]
    return Summary(
        entity_name=entity["name"],
        entity_description=entity["description"],
        is_individual=entity["type"] == "individual",
        projects=tuple(
            OfferedProject(
                guid=project["guid"],
                name=project["name"],
                description=project["description"],
                webpage=project["webpageUrl"]["url"],
                repository=project["repositoryUrl"]["url"],
                licences=tuple(licence.removeprefix(SPDX_PREFIX) for licence in project["licenses"]),
            )
            for project in document["projects"]
        ),
        plans=tuple(
            OfferedPlan(
                name=plan["name"],
                description=plan.get("description") or "",
                amount=Decimal(str(plan["amount"])),
                currency=plan["currency"],
                frequency=plan["frequency"],
            )
            for plan in document["funding"]["plans"]
            if plan["status"] == "active"
        ),
    )
