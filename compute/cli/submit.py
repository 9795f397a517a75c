"""`pledgeworks job submit`."""

import re
import shlex
from typing import Any
from uuid import UUID

import click
from pydantic import ValidationError

from compute import policies, schemas
from compute.cli.logs import follow_log, one_form
from compute.cli.output import exit_as
from compute.cli.ways import jobs_of, way_options
from compute.models import JobKind
from core.cli import json_option, print_json
from core.errors import InvalidInput


class _Duration(click.ParamType[int]):
    """`90`, `90s`, `20m`, `3h20m`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return policies.parse_duration(str(value))
        except InvalidInput as error:
            self.fail(error.message, param, ctx)


class _Size(click.ParamType[int]):
    """`512M`, `8G`: mebibytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,7})([MG])i?B?", str(value), re.IGNORECASE)
        if not found:
            self.fail(f"“{value}” is not a size; write 512M or 8G.", param, ctx)
        return int(found[1]) * (1024 if found[2].upper() == "G" else 1)


@click.command("submit", context_settings={"ignore_unknown_options": False})
@click.option("--project", required=True, help="The project's slug.")
@click.option(
    "--flavor", "flavors", required=True, multiple=True, help="Kind of accelerator, such as h100; repeat for others, best first."
)
@click.option("--gpus", type=click.IntRange(1), default=1, show_default=True, help="GPUs, or slices where the flavor is cut.")
@click.option(
    "--exclusive", is_flag=True, help="Alone on its host, for benchmarks that must not be disturbed; pays for all of its GPUs."
)
@click.option("--wall", "wall_seconds", type=_Duration(), required=True, help="Longest run time, such as 20m or 3h20m.")
@click.option("--kind", type=click.Choice([kind.value for kind in JobKind]), default="ci", show_default=True)
@click.option("--repository", help="https address of a Git repository (in development also a folder of this project).")
@click.option("--commit", help="The exact commit, 40 hexadecimal digits.")
@click.option("--ref", help="The branch or tag it is on, such as refs/heads/main; some offers ask for it.")
@click.option("--image", help="Container image, for pools that run images.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A public variable; repeat for more.")
@click.option("--artefact", "artefacts", multiple=True, metavar="GLOB", help="Files to keep; repeat for more.")
@click.option("--memory", "memory_mib", type=_Size(), default="4G", show_default=True, help="Of all its processes together.")
@click.option("--name", default="", help="What to call it.")
@click.option("--priority", default="", help="A priority class, see `compute priorities`; without: ordinary.")
@click.option("--priority-reason", default="", help="Why, for everybody whom it passes.")
@click.option("--grant", "grant_id", type=click.UUID, help="The compute grant that pays; without: the one that ends first.")
@click.option("--follow", is_flag=True, help="Print its log until it ends; exit as --exit-code of `job show` does.")
@way_options
@json_option
@click.argument("command", nargs=-1, required=True)
def submit_command(
    command: tuple[str, ...],
    email: str | None,
    url: str | None,
    token: str | None,
    flavors: tuple[str, ...],
    variables: tuple[str, ...],
    grant_id: UUID | None,
    *,
    follow: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Submit a job that runs COMMAND, after `--`: one quoted shell text, or words that are quoted for you."""
    one_form(follow=follow, as_json=as_json, instead="submit with --json, then follow with `job logs ID --follow`")
    jobs = jobs_of(email, url, token)
    asked = {name: value for name, value in given.items() if value is not None}
    asked["command"] = command[0] if len(command) == 1 else shlex.join(command)
    asked["environment"] = dict(_variable(text) for text in variables)
    asked["artefacts"] = list(asked["artefacts"])
    asked["flavor"], *asked["alternatives"] = flavors
    try:
        made = jobs.submit(schemas.JobIn(**asked, grant=grant_id))
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}.") from None
    if as_json:
        print_json(made)
    else:
        click.echo(f"Job {made['id']} is queued.", err=follow)
    if follow:
        follow_log(jobs, UUID(made["id"]), attempt=None)
        exit_as(jobs.show(UUID(made["id"])))


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"“{text}” is not NAME=VALUE.", param_hint="--env")
    return name, value
