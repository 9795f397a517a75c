"""`python -m core.db.check_migrations`: squawk looks at every migration by itself, as `make lint` has it do.

In one file with all that came before it, a table that an earlier migration made counts as new and empty, and what locks or scans
it counts as harmless. In production it is neither. So each migration is a file of its own here.
"""

import json
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.config import ROOT
from core.db.migrate import sql

# Finished migrations are never edited, and these were finished before squawk looked at them one by one: installations ran them.
# Each constraint scans its table once, and each index blocks writers while it is built; all give up after env.py's lock_timeout.
# A new migration has no place here: it adds NOT VALID first and validates in the next one, or says `-- squawk-ignore` and why.
ACCEPTED: Mapping[str, frozenset[int]] = {
    "constraint-missing-not-valid": frozenset({9, 11, 13, 16, 19, 20, 23, 24, 25, 27, 28, 29, 36, 39, 40, 43, 44, 46, 48}),
    "adding-foreign-key-constraint": frozenset({13, 16, 25, 44, 48}),
    "require-concurrent-index-creation": frozenset({13, 20, 23, 24, 26, 27}),
    "disallowed-unique-constraint": frozenset({16}),
    "adding-serial-primary-key-field": frozenset({20}),
}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What squawk says of a migration."""

    revision: str  # 0043_flavor_alternatives
    line: int
    rule: str
    message: str

    @property
    def accepted(self) -> bool:
        return int(self.revision[:4]) in ACCEPTED.get(self.rule, ())

    def __str__(self) -> str:
        return f"{self.revision}, line {self.line} of its SQL: {self.rule}: {self.message}"


def apart(chain: str) -> dict[str, str]:
    """The SQL of all migrations, cut into one whole transaction each, by revision."""
    timeouts, *rest = re.split(r"(?m)^-- Running upgrade .*-> (\w+)$", chain)
    timeouts = timeouts.partition("BEGIN;")[0]
    return {
        revision: f"{timeouts}BEGIN;\n{body.replace('COMMIT;', '')}COMMIT;\n"
        for revision, body in zip(rest[::2], rest[1::2], strict=True)
    }


def findings(migrations: Mapping[str, str]) -> list[Finding]:
    """What squawk says of each."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{revision}.sql") for revision in migrations]
        for path, text in zip(paths, migrations.values(), strict=True):
            path.write_text(text, encoding="utf-8")
        squawk = Path(sysconfig.get_path("scripts"), "squawk")
        done = subprocess.run(  # noqa: S603 - our own linter on our own files
            [squawk, "--reporter", "json", *paths], capture_output=True, text=True, check=False, cwd=ROOT
        )
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"squawk failed: {done.stderr.strip()}")
    return sorted(
        Finding(Path(each["file"]).stem, each["line"], each["rule_name"], each["message"]) for each in json.loads(done.stdout)
    )


def refused(found: Iterable[Finding]) -> list[Finding]:
    """Those that nobody accepted."""
    return [each for each in found if not each.accepted]


if __name__ == "__main__":
    wrong = refused(findings(apart(sql())))
    for finding in wrong:
        print(finding)
    sys.exit(bool(wrong))
