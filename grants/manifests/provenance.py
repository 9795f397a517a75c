"""Whose page is it? A manifest may only speak for what lies below itself; for the rest, the page has to name the manifest.

The published rule takes a manifest for proof when either path is a prefix of the other, so a manifest in one repository
would prove its whole forge. Ours goes downwards only:

* a manifest proves what lies in its own folder and below, on the same host and port;
* seen through a forge's file view, it proves the repository, if the view is of the default branch: other branches, and
  commits of forks, are written by other people and shown under the same address;
* in `github.com/u/u` it proves `github.com/u/*`, because only the account can have that repository.

Everything else needs a `wellKnown` list on the page's own host that names the manifest.
"""

import enum
from collections.abc import Collection
from dataclasses import dataclass

from core.urls import Address, BadAddress, parse

MANIFEST_NAME = "funding.json"
WELL_KNOWN = (".well-known", "funding-manifest-urls")
LIST_LINES_MAX = 100
DEFAULT_BRANCHES = ("main", "master")

# Hosts where strangers share one name. What lies there above a repository belongs to nobody who can publish a manifest.
SHARED_HOSTS = frozenset(
    {
        "bitbucket.org",
        "codeberg.org",
        "framagit.org",
        "git.sr.ht",
        "gitea.com",
        "gitee.com",
        "github.com",
        "gitlab.com",
        "gitlab.freedesktop.org",
        "gitlab.gnome.org",
        "invent.kde.org",
        "notabug.org",
        "salsa.debian.org",
    }
)
# The queries with which a forge shows a file as it is. Any other may make one address stand for many documents.
_RAW_QUERIES = frozenset({"", "raw=true", "raw=1"})
_VIEWS = frozenset({"blob", "raw", "src", "tree"})
# Here `raw/branch/main/…` is the folder `main` of a branch that somebody called `branch`.
_WITHOUT_BRANCH_WORD = frozenset({"bitbucket.org", "git.sr.ht", "github.com"})


class Shape(enum.StrEnum):
    """What the addresses alone say, before any list was read."""

    NOT_REQUIRED = "not_required"  # the manifest lies above the page
    REQUIRED = "required"  # a wellKnown list has to be named
    VALID = "valid"  # one is named, at a place that counts
    INVALID = "invalid"  # one is named, at a place that proves nothing


class Outcome(enum.StrEnum):
    """How the provenance of one address stands."""

    NOT_REQUIRED = "not_required"  # the manifest lies above the page
    REQUIRED = "required"  # not proven: no list named, or not read yet
    VERIFIED = "verified"  # the page's own list names the manifest
    FAILED = "failed"  # there is a list, and it proves nothing


@dataclass(frozen=True, slots=True)
class Verdict:
    """A shape and, unless it needs none, the sentence for it. `refused_everywhere`: the published rule says no, too."""

    shape: Shape
    reason: str = ""
    refused_everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """What to publish, to the letter, so that an address is proven."""

    address: str
    content: str


@dataclass(frozen=True, slots=True)
class _View:
    """A file seen through a forge: its repository and, if it can be told, the branch."""

    repository: tuple[str, ...]
    branch: str | None


def judge(
    manifest: Address, target: Address, well_known: Address | None, *, default_branches: Collection[str] = DEFAULT_BRANCHES
) -> Verdict:
    """Whether a page needs a well-known list, and whether the one named can prove it."""
    if _lies_below(manifest, target, default_branches):
        return Verdict(Shape.NOT_REQUIRED)
    if well_known is None:
        return Verdict(Shape.REQUIRED, "The manifest does not lie above this address, and no wellKnown list is named.")
    return _judge_list(target, well_known, default_branches)


def find_in_list(text: str, manifest: Address) -> str | None:
    """None if the list names the manifest, else a sentence why it counts as not named. One address a line, at most 100."""
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    for line in lines[:LIST_LINES_MAX]:
        if line and _names(line, manifest):
            return None
    if len(lines) > LIST_LINES_MAX:
        return f"The first {LIST_LINES_MAX} lines of the list do not name {manifest}; move it up."
    return f"The list does not name {manifest}; add it on a line of its own."


def publication(manifest: Address, target: Address) -> Publication:
    """The list that would prove `target`: where to put it and what to write into it."""
    content = f"{manifest}\n"
    if target.host not in SHARED_HOSTS or not target.segments:
        return Publication(f"{target.scheme}://{target.authority}/{'/'.join(WELL_KNOWN)}", content)
    view = _view(target)
    repository = view.repository if view else target.segments[:2]
    if len(repository) == 1 and target.host == "github.com":
        repository *= 2  # an account's own repository speaks for the account
    elif target.host not in {"github.com", "bitbucket.org", "codeberg.org", "git.sr.ht"} and not view:
        repository = target.segments  # groups in groups
    folder = "/".join((*repository[:-1], repository[-1].removesuffix(".git")))
    return Publication(f"https://{target.host}/{folder}/{_file_view(target.host)}/{'/'.join(WELL_KNOWN)}", content)


def readable(address: Address) -> Address:
    """Where a forge shows the file itself instead of a page around it; other addresses as they are."""
    segments, query = address.segments, address.query
    view = _view(address)
    if view is None:
        return address
    depth = len(view.repository)
    if address.host == "github.com" and segments[depth] in {"blob", "raw"}:
        query = "raw=true"
    elif segments[depth] == "-" and segments[depth + 1] == "blob":
        segments = (*segments[: depth + 1], "raw", *segments[depth + 2 :])
    elif segments[depth : depth + 2] == ("src", "branch"):
        segments = (*segments[:depth], "raw", *segments[depth + 1 :])
    return Address(address.scheme, address.host, address.port, segments, address.trailing_slash, query)


def _lies_below(manifest: Address, target: Address, default_branches: Collection[str]) -> bool:
    if not manifest.same_site(target) or manifest.is_ambiguous or target.is_ambiguous:
        return False
    if manifest.segments[-1:] != (MANIFEST_NAME,) or manifest.trailing_slash or manifest.query not in _RAW_QUERIES:
        return False
    view = _view(manifest)
    if view is None:
        tree = manifest.segments[:-1]
        if manifest.host in SHARED_HOSTS and len(tree) < 2:
            return False
    elif view.branch in default_branches:
        tree = view.repository
    else:
        return False
    if manifest.host == "github.com" and _is_profile(tree):
        tree = tree[:1]
    return _within(target, tree, names=len(tree) if view else 2)


def _judge_list(target: Address, well_known: Address, default_branches: Collection[str]) -> Verdict:
    """Published: on the page's host, at its root or below the page. Ours: and written by those who own the page."""
    name = "/".join(("", *WELL_KNOWN))
    folder = well_known.segments[: -len(WELL_KNOWN)]
    if well_known.segments[-len(WELL_KNOWN) :] != WELL_KNOWN or well_known.trailing_slash:
        return Verdict(Shape.INVALID, f"The wellKnown address has to end in {name}.", refused_everywhere=True)
    if not well_known.same_site(target):
        return Verdict(
            Shape.INVALID, f"The wellKnown list has to lie on {target.authority}, as the address does.", refused_everywhere=True
        )
    if not folder:
        return Verdict(Shape.VALID)
    view = _view(well_known)
    if not _within(well_known, target.segments) and not (view and _within(target, view.repository, names=len(view.repository))):
        return Verdict(
            Shape.INVALID, "The wellKnown list has to lie at the root of the host or below the address.", refused_everywhere=True
        )
    return _judge_owner(target, well_known, view, default_branches)


def _judge_owner(target: Address, well_known: Address, view: _View | None, default_branches: Collection[str]) -> Verdict:
    if well_known.is_ambiguous or target.is_ambiguous:
        return Verdict(Shape.INVALID, "The addresses have encoded slashes, which servers read in different ways.")
    if view is None:
        if not target.segments:
            return Verdict(Shape.INVALID, "A list below the root of a host can't prove the whole host; put it at the root.")
        return Verdict(Shape.VALID)
    if view.branch not in default_branches:
        return Verdict(
            Shape.INVALID, f"The list is not on the default branch ({' or '.join(default_branches)}); others may have written it."
        )
    speaks_for = view.repository
    if well_known.host == "github.com" and _is_profile(speaks_for):
        speaks_for = speaks_for[:1]
    if not _within(target, speaks_for, names=len(speaks_for)):
        return Verdict(Shape.INVALID, "One repository can't prove what lies above it.")
    return Verdict(Shape.VALID)


def _view(address: Address) -> _View | None:
    """The repository a file view belongs to. Plain web servers have folders called `raw` too, so hosts that are no
    known forge are taken at their word for the unmistakable forms only."""
    segments = address.segments
    if "-" in segments[2:]:  # GitLab: group/…/project/-/blob/main/…
        depth = segments.index("-", 2)
        if segments[depth + 1 : depth + 2] and segments[depth + 1] in _VIEWS:
            return _View(segments[:depth], _branch(segments[depth + 2 : -1]))
    if len(segments) < 4 or segments[2] not in _VIEWS:
        return None
    if segments[2] in {"raw", "src"} and segments[3] == "branch" and address.host not in _WITHOUT_BRANCH_WORD:
        return _View(segments[:2], _branch(segments[4:-1]))  # Gitea, Forgejo: owner/name/raw/branch/main/…
    if segments[2] != "blob" and address.host not in SHARED_HOSTS:
        return None
    return _View(segments[:2], _branch(segments[3:-1]))


def _branch(reference: tuple[str, ...]) -> str | None:
    """Of `main/docs` and `refs/heads/main/docs`: main. Tags and commits are no branches."""
    match reference:
        case ("refs", "heads", name, *_):
            return name
        case ("commit" | "tag" | "refs", *_):
            return None
        case (name, *_):
            return name
    return None


def _is_profile(repository: tuple[str, ...]) -> bool:
    return len(repository) == 2 and repository[0].lower() == repository[1].lower()


def _within(address: Address, tree: tuple[str, ...], *, names: int = 2) -> bool:
    """Whether an address lies in a tree of its own host. On forges the first `names` parts are names of accounts and a
    repository: their case makes no difference, and neither does `.git` at the end."""
    head = address.segments[: len(tree)]
    if address.host not in SHARED_HOSTS:
        return head == tree
    names = min(names, len(tree))
    return _folded(head[:names]) == _folded(tree[:names]) and head[names:] == tree[names:]


def _folded(names: tuple[str, ...]) -> tuple[str, ...]:
    folded = tuple(name.lower() for name in names)
    return (*folded[:-1], folded[-1].removesuffix(".git")) if len(folded) > 1 else folded


def _names(line: str, manifest: Address) -> bool:
    if line == str(manifest):
        return True
    try:
        return parse(line) == manifest
    except BadAddress:
        return False


def _file_view(host: str) -> str:
    match host:
        case "github.com":
            return "blob/main"
        case "codeberg.org" | "gitea.com":
            return "raw/branch/main"
        case "bitbucket.org":
            return "raw/main"
        case "git.sr.ht":
            return "blob/main"
    return "-/raw/main"
