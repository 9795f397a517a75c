"""Whose page it is: downwards only, whatever the address is dressed up as."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_samples import HOME, perfect, report_on

from core.urls import Address, BadAddress, parse
from grants.manifests import provenance
from grants.manifests.provenance import SHARED_HOSTS, Shape, judge, publication, readable
from grants.manifests.report import ListUnavailable, examine
from grants.manifests.rules import NamedUrl

WELL_KNOWN = "/.well-known/funding-manifest-urls"


def shape(manifest: str, target: str, well_known: str | None = None) -> Shape:
    return judge(parse(manifest), parse(target), parse(well_known) if well_known else None).shape


@pytest.mark.parametrize(
    ("manifest", "target"),
    [
        ("https://example.org/funding.json", "https://example.org"),
        ("https://example.org/funding.json", "https://example.org/"),
        ("https://example.org/funding.json", "https://EXAMPLE.org:443/x/y/"),
        ("https://example.org/funding.json", "https://example.org./x"),
        ("https://example.org/funding.json", "http://example.org/x"),
        ("https://example.org:8443/funding.json", "https://example.org:8443/x"),
        ("https://bücher.example/funding.json", "https://xn--bcher-kva.example/x"),
        ("https://example.org/a/funding.json", "https://example.org/a"),
        ("https://example.org/a/funding.json", "https://example.org/a/"),
        ("https://example.org/a/funding.json", "https://example.org/b/../a/c"),
        ("https://example.org/a/funding.json", "https://example.org/%61/c"),
        ("https://github.com/User/Project/blob/main/funding.json", "https://github.com/user/project"),
        ("https://github.com/user/project/blob/main/docs/funding.json", "https://github.com/user/project/wiki"),
        ("https://github.com/user/project/blob/main/funding.json?raw=true", "https://github.com/user/project.git"),
        ("https://github.com/user/project/raw/refs/heads/main/funding.json", "https://github.com/user/project"),
        ("https://github.com/user/user/blob/master/funding.json", "https://github.com/user"),
        ("https://gitlab.com/org/sub/p/-/raw/main/funding.json", "https://gitlab.com/org/sub/p"),
        ("https://gitlab.com/Org/Sub/P/-/raw/main/funding.json", "https://gitlab.com/org/sub/p.git"),
        ("https://gitlab.com/org/sub/p/-/blob/main/funding.json", "https://gitlab.com/org/sub/p/-/issues"),
        ("https://git.example.org/org/sub/p/-/blob/main/funding.json", "https://git.example.org/org/sub/p"),
        ("https://codeberg.org/u/p/raw/branch/main/funding.json", "https://codeberg.org/u/p"),
        ("https://codeberg.org/u/p/src/branch/main/funding.json", "https://codeberg.org/u/p"),
        ("https://bitbucket.org/u/p/src/master/funding.json", "https://bitbucket.org/u/p"),
    ],
)
def test_what_a_manifest_proves(manifest: str, target: str) -> None:
    assert shape(manifest, target) == "not_required"


@pytest.mark.parametrize(
    ("manifest", "target"),
    [
        # upwards
        ("https://github.com/mallory/x/blob/main/funding.json", "https://github.com/"),
        ("https://github.com/mallory/x/blob/main/funding.json", "https://github.com/mallory"),
        ("https://gitlab.com/org/sub/p/-/raw/main/funding.json", "https://gitlab.com/org/sub"),
        ("https://example.org/~mallory/funding.json", "https://example.org/"),
        ("https://example.org/a/b/raw/main/funding.json", "https://example.org/a/b"),
        # sideways, and names that only begin alike
        ("https://example.org/a/funding.json", "https://example.org/ab"),
        ("https://example.org/a/funding.json", "https://example.org/A"),
        ("https://github.com/u/p/Docs/funding.json", "https://github.com/u/p/docs"),
        ("https://gitlab.com/u/p/Docs/funding.json", "https://gitlab.com/u/p/Docs.git"),
        ("https://github.com/user/project/blob/main/funding.json", "https://github.com/user/project2"),
        ("https://gitlab.com/user/user/-/blob/main/funding.json", "https://gitlab.com/user/project"),
        ("https://floss.fund/user/user/blob/main/funding.json", "https://floss.fund/user/project"),
        # on the host above every repository lies nobody's page
        ("https://github.com/funding.json", "https://github.com/user/project"),
        ("https://github.com/user/funding.json", "https://github.com/user/project"),
        # other branches, tags and commits of forks are shown under the repository's address
        ("https://github.com/mallory/x/blob/pr-branch/funding.json", "https://github.com/mallory/x"),
        (
            "https://github.com/mallory/x/blob/0a7638be5e0d647a05900ed1c8a3c5479071d91a/funding.json",
            "https://github.com/mallory/x",
        ),
        ("https://github.com/mallory/x/raw/refs/pull/7/head/funding.json", "https://github.com/mallory/x"),
        ("https://github.com/mallory/x/blob/branch/main/funding.json", "https://github.com/mallory/x"),
        ("https://github.com/mallory/x/raw/branch/main/funding.json", "https://github.com/mallory/x"),
        ("https://codeberg.org/u/p/raw/commit/0a7638be/funding.json", "https://codeberg.org/u/p"),
        ("https://codeberg.org/u/p/raw/tag/main/funding.json", "https://codeberg.org/u/p"),
        ("https://github.com/user/user/blob/dev/funding.json", "https://github.com/user/project"),
        # climbing
        ("https://github.com/user/project/blob/main/funding.json", "https://github.com/user/project/../../test"),
        ("https://example.org/a/funding.json", "https://example.org/a/%2e%2e/b"),
        ("https://example.org/a/funding.json", "https://example.org/a/..%2fb"),
        ("https://example.org/a/funding.json", "https://example.org/a/..%5cb"),
        ("https://example.org/a/funding.json", "https://example.org/a/..;/b"),
        ("https://example.org/a%2f..%2f/funding.json", "https://example.org/a%2f..%2f/b"),
        ("https://example.org/a/../funding.json/../b/funding.json", "https://example.org/a"),
        # another site
        ("https://example.org/funding.json", "https://example.org:8443/"),
        ("https://example.org:8443/funding.json", "https://example.org/"),
        ("https://example.org/funding.json", "https://sub.example.org/"),
        ("https://example.org/funding.json", "https://example.org.evil.net/"),
        ("https://raw.githubusercontent.com/u/p/main/funding.json", "https://github.com/u/p"),
        # an address that need not be one document, or no manifest's
        ("https://example.org/funding.json?user=mallory", "https://example.org/"),
        ("https://example.org/uploads/77", "https://example.org/uploads/78"),
        ("https://example.org/funding.json/", "https://example.org/x"),
    ],
)
def test_what_it_does_not_prove(manifest: str, target: str) -> None:
    assert shape(manifest, target) == "required"


def test_the_default_branch_can_be_told() -> None:
    manifest, target = parse("https://github.com/u/p/blob/trunk/funding.json"), parse("https://github.com/u/p")
    assert judge(manifest, target, None).shape == "required"
    assert judge(manifest, target, None, default_branches=("trunk",)).shape == "not_required"


@pytest.mark.parametrize(
    ("target", "well_known", "verdict"),
    [
        ("https://other.org/p", f"https://other.org{WELL_KNOWN}", "valid"),
        ("https://other.org/p", f"https://other.org/p{WELL_KNOWN}", "valid"),
        ("https://other.org/p", f"https://other.org/p/docs{WELL_KNOWN}", "valid"),
        ("https://other.org/p", f"http://OTHER.org:80{WELL_KNOWN}", "valid"),
        ("https://github.com/u/p", f"https://github.com/u/p/blob/main{WELL_KNOWN}", "valid"),
        ("https://github.com/u/p/wiki", f"https://github.com/u/p/blob/main{WELL_KNOWN}", "valid"),
        ("https://github.com/u", f"https://github.com/u/u/blob/main{WELL_KNOWN}", "valid"),
        ("https://gitlab.com/g/s/p", f"https://gitlab.com/g/s/p/-/raw/main{WELL_KNOWN}", "valid"),
        ("https://other.org/p", f"https://other.org/q{WELL_KNOWN}", "invalid"),
        ("https://other.org/p", f"https://other.org/pq{WELL_KNOWN}", "invalid"),
        ("https://other.org/p", f"https://other.org:8443{WELL_KNOWN}", "invalid"),
        ("https://other.org/p", f"https://evil.org{WELL_KNOWN}", "invalid"),
        ("https://other.org/p", f"https://other.org{WELL_KNOWN}.txt", "invalid"),
        ("https://other.org/p", f"https://other.org{WELL_KNOWN}/", "invalid"),
        ("https://other.org/p", "https://other.org/x-well-known/funding-manifest-urls", "invalid"),
        # A list below a page proves the page under the published rule, not under ours:
        ("https://other.org/", f"https://other.org/~mallory{WELL_KNOWN}", "invalid"),
        ("https://github.com/", f"https://github.com/mallory/x/blob/main{WELL_KNOWN}", "invalid"),
        ("https://github.com/org", f"https://github.com/org/x/blob/main{WELL_KNOWN}", "invalid"),
        ("https://gitlab.com/org", f"https://gitlab.com/org/x/-/raw/main{WELL_KNOWN}", "invalid"),
        ("https://github.com/u/p", f"https://github.com/u/p/blob/pr{WELL_KNOWN}", "invalid"),
        ("https://github.com/u/p", f"https://github.com/u/p/blob/0a7638be5e0d647a{WELL_KNOWN}", "invalid"),
        ("https://other.org/p", f"https://other.org/p/..%2fq{WELL_KNOWN}", "invalid"),
    ],
)
def test_where_a_list_counts(target: str, well_known: str, verdict: str) -> None:
    assert shape(HOME, target, well_known) == verdict


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (HOME, True),
        (f"{HOME}\r\nhttps://b.org/funding.json\r\n", True),
        (f"\ufeff{HOME}\n", True),
        (f"\n\n  {HOME}\t\n", True),
        ("https://EXAMPLE.org:443/funding.json", True),
        ("\n" * 99 + HOME, True),
        ("\n" * 100 + HOME, False),
        ("", False),
        (HOME + "2", False),
        ("x" + HOME, False),
        (f"# {HOME}", False),
        (f"{HOME} https://b.org/funding.json", False),
        ("https://example.org/FUNDING.json", False),
        ("https://example.org/funding.json?x", False),
        ("http://example.org/funding.json", False),
    ],
)
def test_how_a_list_names_a_manifest(text: str, named: bool) -> None:
    assert (provenance.find_in_list(text, parse(HOME)) is None) == named


def elsewhere(well_known: str | None) -> dict[str, object]:
    manifest = perfect()
    manifest["entity"]["webpageUrl"] = {"url": "https://other.org/team", **({"wellKnown": well_known} if well_known else {})}
    return manifest


def outcome(well_known: str | None, list_text: str | Exception | None) -> tuple[str, str]:
    def lists(named: NamedUrl) -> str | None:
        assert named.path == "entity.webpageUrl"
        if isinstance(list_text, Exception):
            raise list_text
        return list_text

    report = examine(json.dumps(elsewhere(well_known)).encode(), HOME, lists=lists)
    assert report.is_valid
    [each] = [each for each in report.provenance if each.path == "entity.webpageUrl"]
    assert (each.publish is not None) == (each.outcome in {"required", "failed"})
    return str(each.outcome), each.reason


def test_outcomes() -> None:
    listed = f"https://other.org{WELL_KNOWN}"
    assert outcome(None, "never read")[0] == "required"
    assert outcome(listed, None) == ("required", "The wellKnown list is named, and was not read yet.")
    assert outcome(listed, f"{HOME}\r\n") == ("verified", "")
    assert outcome(listed, "https://else.org/funding.json")[0] == "failed"
    assert outcome(listed, ListUnavailable("It answered 404.", for_now=False)) == ("failed", "It answered 404.")


def test_a_list_where_the_published_rule_refuses_it_is_an_error_and_where_only_ours_does_a_warning() -> None:
    wrong_host = report_on(elsewhere(f"https://evil.org{WELL_KNOWN}"))
    assert [(f.severity, f.path) for f in wrong_host.findings] == [("error", "entity.webpageUrl.wellKnown")]
    manifest = perfect()
    manifest["entity"]["webpageUrl"] = {"url": "https://other.org", "wellKnown": f"https://other.org/~mallory{WELL_KNOWN}"}
    only_ours = report_on(manifest)
    assert only_ours.is_valid
    assert [(f.severity, f.path) for f in only_ours.findings] == [("warning", "entity.webpageUrl.wellKnown")]
    assert only_ours.provenance[0].outcome == "failed"


def test_the_assistant_says_what_to_publish_to_the_letter() -> None:
    [each] = report_on(elsewhere(None)).unproven
    assert each.publish is not None
    assert each.publish.address == f"https://other.org{WELL_KNOWN}"
    assert each.publish.content == f"{HOME}\n"


@pytest.mark.parametrize(
    "target",
    [
        "https://other.org/some/page",
        "https://other.org:8443/",
        "https://github.com/u/p",
        "https://github.com/u/p.git",
        "https://github.com/u/p/tree/main/docs",
        "https://github.com/u",
        "https://gitlab.com/g/s/p",
        "https://gitlab.com/g/s/p/-/tree/main/x",
        "https://codeberg.org/u/p",
        "https://bitbucket.org/u/p/src/main/x",
        "https://git.sr.ht/~u/p",
    ],
)
def test_what_the_assistant_proposes_would_prove_the_page(target: str) -> None:
    proposed = publication(parse(HOME), parse(target))
    assert shape(HOME, target, proposed.address) == "valid"
    assert provenance.find_in_list(proposed.content, parse(HOME)) is None


@pytest.mark.parametrize(
    ("shown", "file"),
    [
        ("https://github.com/u/p/blob/master/funding.json", "https://github.com/u/p/blob/master/funding.json?raw=true"),
        ("https://github.com/u/p/raw/main/a/b/funding.json", "https://github.com/u/p/raw/main/a/b/funding.json?raw=true"),
        (f"https://github.com/u/p/blob/main{WELL_KNOWN}", f"https://github.com/u/p/blob/main{WELL_KNOWN}?raw=true"),
        ("https://gitlab.com/g/s/p/-/blob/main/funding.json", "https://gitlab.com/g/s/p/-/raw/main/funding.json"),
        ("https://codeberg.org/u/p/src/branch/main/funding.json", "https://codeberg.org/u/p/raw/branch/main/funding.json"),
        ("https://example.org/a/funding.json", "https://example.org/a/funding.json"),
        ("https://github.com/u/p", "https://github.com/u/p"),
    ],
)
def test_forges_are_asked_for_the_file_itself(shown: str, file: str) -> None:
    assert str(readable(parse(shown))) == file


names = st.sampled_from(["a", "A", "b", "u", "p", "main", "blob", "raw", "src", "-", "branch", "..", ".", "", "%2e%2e", "..%2f"])
hosts = st.sampled_from(["example.org", "github.com", "gitlab.com", "codeberg.org", "EXAMPLE.org.", "example.org:443"])


@st.composite
def addresses(draw: st.DrawFn, last: str | None = None) -> Address:
    path = draw(st.lists(names, max_size=7)) + ([last] if last else [])
    return parse(f"https://{draw(hosts)}/{'/'.join(path)}")


@settings(deadline=None)  # the machine may be busy
@given(addresses(last="funding.json"), addresses())
def test_nothing_outside_the_manifests_own_tree_goes_unproven(manifest: Address, target: Address) -> None:
    if judge(manifest, target, None).shape is not Shape.NOT_REQUIRED:
        return
    assert target.host == manifest.host
    folder = manifest.segments[:-1]
    names = 2 if manifest.host in SHARED_HOSTS else 0  # accounts and repositories: case makes no difference
    here = target.segments[: len(folder)]
    inside = [name.lower() for name in here[:names]] == [name.lower() for name in folder[:names]]
    inside = inside and here[names:] == folder[names:]
    if not inside:
        # The only other trees: the repository the manifest is a file of (default branch), or u/* for the profile u/u.
        common = 0
        while common < min(len(folder), len(target.segments)) and folder[common].lower() == target.segments[common].lower():
            common += 1
        rest = folder[common:]
        profile = manifest.host == "github.com" and folder[0].lower() == folder[1].lower() and common >= 1
        view = any(word in folder[2:] for word in ("blob", "raw", "src")) and "main" in folder
        assert profile or (view and common >= 2), (str(manifest), str(target), rest)
        assert profile or manifest.host in SHARED_HOSTS or "blob" in folder or "-" in folder or "branch" in folder


@settings(deadline=None)  # the machine may be busy
@given(addresses(), addresses())
def test_the_assistant_never_proposes_what_proves_nothing(manifest: Address, target: Address) -> None:
    if target.is_ambiguous:
        return
    proposed = parse(publication(manifest, target).address)
    verdict = judge(parse("https://third.example/funding.json"), target, proposed)
    # An address no repository could have (github.com/-/blob/x) gets a proposal all the same; nobody can publish there.
    assert verdict.shape is Shape.VALID or target.host in SHARED_HOSTS


@settings(deadline=None)  # the machine may be busy
@given(st.text(st.characters(exclude_categories=()), max_size=60))  # halves of characters, too
def test_any_text_is_an_address_in_normal_form_or_refused(text: str) -> None:
    for candidate in (text, f"https://{text}", f"https://{text}/x", f"https://example.org/{text}", f"https://e.org?{text}"):
        try:
            address = parse(candidate)
        except BadAddress as error:
            error.message.encode()
            continue
        assert parse(str(address)) == address
        assert str(address).isascii()
        assert ".." not in address.segments
