"""By which rail a payee is paid: always the same for the same facts, never an impossible one, and never more than leaves."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import Money
from payouts import terms
from payouts.policies.ways import Asked, Candidate, NeedKind, Place, Way, Wish, choose, ways
from payouts.rails.base import Capabilities
from payouts.terms import Fee, PaidBy, Terms, Where

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
READY = Place("…1234", NOW - timedelta(days=9))
ASKED = Asked(Money(250_000, "USD"), 0, "Ada", "DE", "US", NOW)
MACHINE, PEOPLE = Capabilities(), Capabilities(needs_person=True)


def known(rail: str, *fees: Fee, **named: object) -> Terms:
    nothing: dict[str, object] = {
        "rail": rail, "title": rail.title(), "since": date(2026, 1, 1), "source": "a test", "note": None, "payer_countries": None,
        "countries": None, "currencies": None, "least": {}, "most": {}, "fees": fees, "areas": (),
    }  # fmt: skip
    return Terms(**{**nothing, **named})  # type: ignore[arg-type]


def fee(
    percent: str = "0", *, fixed: Money | None = None, paid_by: PaidBy = PaidBy.PAYEE, where: Where = Where.EVERYWHERE
) -> Fee:
    return Fee("fee", Decimal(percent), fixed, paid_by, where, at_most=False)


def rail(name: str, *fees: Fee, place: Place | None = READY, able: Capabilities | None = MACHINE, **named: object) -> Candidate:
    return Candidate(name, name.title(), able, known(name, *fees, **named), place)


def chosen(*candidates: Candidate, asked: Asked = ASKED, wish: Wish | None = None) -> tuple[str | None, str]:
    choice = choose(ways(asked, candidates), asked, wish)
    return (choice.way.rail if choice.way else None), choice.why


def test_what_leaves_the_payee_most_is_chosen() -> None:
    dear, cheap = rail("a", fee("2")), rail("b", fee("0.5"))
    assert chosen(dear, cheap) == ("b", "It leaves Ada most, as far as is known: 2,487.50 USD of 2,500.00 USD.")


def test_of_equals_for_the_payee_the_cheapest_for_us_is_chosen() -> None:
    dear, cheap = rail("a", fee("6", paid_by=PaidBy.US)), rail("b", fee("0.25", paid_by=PaidBy.US))
    assert chosen(dear, cheap) == ("b", "No other rail is known to leave Ada more, and it costs us least.")


def test_a_price_that_is_not_known_comes_after_one_that_is() -> None:
    unknown, dear = rail("a", fees=None), rail("b", fee("10"))
    assert chosen(unknown, dear)[0] == "b"


def test_machines_come_before_people_and_names_decide_the_rest() -> None:
    assert chosen(rail("a", able=PEOPLE), rail("b"))[0] == "b"
    assert chosen(rail("b"), rail("a"))[0] == "a"


def test_what_the_payee_asked_for_comes_before_the_price() -> None:
    asked = replace(ASKED, preferred="a")
    assert chosen(rail("a", fee("2")), rail("b"), asked=asked) == ("a", "Ada asked for it.")
    waiting = rail("a", fee("2"), place=Place("…1", NOW + timedelta(hours=1)))
    assert chosen(waiting, rail("b"), asked=asked) == (
        "b",
        "Ada asked for another rail, which can't pay this now. Of the rails it is the only one that can pay Ada now.",
    )


def test_a_persons_word_comes_first_and_waits_rather_than_go_elsewhere() -> None:
    wish = Wish("a", "Finn", "Ada's host asked for it")
    assert chosen(rail("a", fee("2")), rail("b"), wish=wish) == ("a", "Finn chose it: Ada's host asked for it")
    stopped = replace(rail("a"), stopped="Key leaked.")
    assert chosen(stopped, rail("b"), wish=wish) == (
        None,
        "Finn chose A for this payout, and it can't go by it now. The rail “A” is stopped: Key leaked.",
    )


@pytest.mark.parametrize(
    ("about", "kind", "words"),
    [
        (rail("a", able=None), NeedKind.SETTINGS, "is not part of this installation"),
        (replace(rail("a"), terms=None), NeedKind.TERMS, "A has no terms in force"),
        (rail("a", payer_countries=frozenset({"GB"})), NeedKind.PAYER, "does not pay from US"),
        (rail("a", countries=frozenset({"US"})), NeedKind.COUNTRY, "does not serve DE, where Ada is"),
        (rail("a", currencies=frozenset({"EUR"})), NeedKind.CURRENCY, "pays EUR, not USD"),
        (rail("a", most={"USD": Money(249_999, "USD")}), NeedKind.TOO_MUCH, "at most 2,499.99 USD at once"),
        (rail("a", least={"USD": Money(250_001, "USD")}), NeedKind.TOO_LITTLE, "pays 2,500.01 USD or more"),
        (rail("a", fee(fixed=Money(250_000, "USD"))), NeedKind.TOO_LITTLE, "which leaves Ada nothing"),
        (rail("a", able=Capabilities(unit_minor=300_000)), NeedKind.TOO_LITTLE, "makes none"),
        (replace(rail("a"), taken="Once a month."), NeedKind.THIS_MONTH, "Once a month."),
        (replace(rail("a"), stopped="Odd answers."), NeedKind.STOPPED, "is stopped: Odd answers."),
        (rail("a", place=None), NeedKind.DESTINATION, "It needs from Ada: a destination."),
        (replace(rail("a", place=None), has_accounts=True), NeedKind.DESTINATION, "It needs from Ada: an account at A."),
        (replace(rail("a", place=None), asks_for="IBAN"), NeedKind.DESTINATION, "It needs from Ada: IBAN."),
        (rail("a", place=Place("…", NOW + timedelta(minutes=1))), NeedKind.COOL_OFF, "cool off until 2026-11-02 09:31 UTC"),
        (rail("a", place=Place("…", NOW, looked_at=False)), NeedKind.SECOND_LOOK, "has not compared the payment details of Ada"),
        (rail("a", place=Place("…", NOW, problem="Stripe wants a passport.")), NeedKind.ONBOARDING, "Stripe wants a passport."),
    ],
)
def test_what_a_rail_needs_is_said_and_makes_it_impossible(about: Candidate, kind: NeedKind, words: str) -> None:
    (way,) = ways(ASKED, [about])
    assert [need.kind for need in way.needs] == [kind]
    assert words in way.needs[0].words
    assert chosen(about)[0] is None
    assert chosen(about, wish=Wish("a", "Finn", "Because"))[0] is None


def test_nobody_with_a_destination_is_told_to_add_one() -> None:
    assert "Ada has no destination for USD" in chosen(rail("a", place=None), rail("b", place=None))[1]
    assert chosen(rail("a", place=None), rail("b", place=Place("…", NOW, problem="A passport.")))[1] == "A passport."
    said = chosen(replace(rail("a"), stopped="Odd."), rail("b", place=Place("…", NOW, problem="A passport.")))[1]
    assert said == "A: The rail “A” is stopped: Odd. B: A passport."


def test_fees_are_rounded_up_and_those_abroad_know_their_areas() -> None:
    abroad = fee("0.25", paid_by=PaidBy.US, where=Where.ABROAD)
    europe = (frozenset({"DE", "FR", "GB"}),)
    (way,) = ways(replace(ASKED, owed=Money(1_001, "USD")), [rail("a", abroad, areas=europe)])
    assert (way.fee, way.cost, way.net) == (Money(0, "USD"), Money(3, "USD"), Money(1_001, "USD"))
    (way,) = ways(replace(ASKED, payer_country="FR"), [rail("a", abroad, areas=europe)])
    assert way.cost == Money(0, "USD")


def test_a_fixed_fee_of_another_currency_is_not_known_beforehand() -> None:
    (way,) = ways(ASKED, [rail("a", fee("1", fixed=Money(150, "EUR")))])
    assert (way.fee, way.net, way.possible) == (None, None, True)


def test_whole_dollars_leave_and_what_was_kept_leaves_with_them() -> None:
    (way,) = ways(replace(ASKED, owed=Money(1_070, "USD"), kept=34), [rail("a", able=Capabilities(unit_minor=100))])
    assert (way.gross, way.net) == (Money(1_100, "USD"), Money(1_100, "USD"))


FEES = st.builds(
    Fee,
    name=st.just("fee"),
    percent=st.decimals(0, 100, places=3),
    fixed=st.none() | st.builds(Money, st.integers(0, 5_000), st.sampled_from(["USD", "EUR"])),
    paid_by=st.sampled_from(PaidBy),
    where=st.sampled_from(Where),
    at_most=st.booleans(),
)
COUNTRIES = st.none() | st.frozensets(st.sampled_from(["US", "DE", "IN"]))
TERMS = st.none() | st.builds(
    known,
    st.just("x"),
    fees=st.none() | st.lists(FEES, max_size=3).map(tuple),
    countries=COUNTRIES,
    payer_countries=COUNTRIES,
    most=st.sampled_from([{}, {"USD": Money(100_000, "USD")}]),
    least=st.sampled_from([{}, {"USD": Money(10_000, "USD")}]),
    areas=st.sampled_from([(), (frozenset({"US", "DE"}),)]),
)
PLACES = st.none() | st.builds(
    Place,
    st.just("…"),
    st.datetimes(datetime(2026, 11, 1), datetime(2026, 11, 4), timezones=st.just(UTC)),  # noqa: DTZ001 - the bounds of a strategy
    looked_at=st.booleans(),
    problem=st.none() | st.just("A passport."),
)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        rail=st.sampled_from("abcdef"),
        title=st.just("T"),
        capabilities=st.none() | st.builds(Capabilities, needs_person=st.booleans(), unit_minor=st.sampled_from([1, 100, 1_000])),
        terms=TERMS,
        place=PLACES,
        stopped=st.none() | st.just("Odd."),
        taken=st.none() | st.just("Once a month."),
    ),
    max_size=6,
    unique_by=lambda each: each.rail,
)
PAYOUTS = st.builds(
    Asked,
    owed=st.builds(Money, st.integers(1, 200_000), st.just("USD")),
    kept=st.integers(-50_000, 99),
    payee=st.just("Ada"),
    country=st.sampled_from(["US", "DE", "IN"]),
    payer_country=st.sampled_from(["US", "DE"]),
    now=st.just(NOW),
    preferred=st.none() | st.sampled_from("abcdef"),
    held=st.none() | st.just("Hijacked."),
)
WISHES = st.none() | st.builds(Wish, st.sampled_from("abcdef"), st.just("Finn"), st.just("Because"))


@given(PAYOUTS, CANDIDATES, WISHES, st.randoms())
def test_the_choice_is_the_same_in_any_order_and_never_impossible(
    asked: Asked, candidates: list[Candidate], wish: Wish | None, dice: object
) -> None:
    choice = choose(ways(asked, candidates), asked, wish)
    shuffled = list(candidates)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose(ways(asked, shuffled), asked, wish) == choice
    assert choice.why
    if choice.way is None:
        return
    about = next(each for each in candidates if each.rail == choice.way.rail)
    assert about.capabilities is not None
    assert about.place is not None
    assert about.place.usable_from <= asked.now
    assert about.place.looked_at
    assert asked.held is None
    assert (about.place.problem, about.stopped, about.taken) == (None, None, None)
    if about.terms is not None:
        assert about.terms.countries is None or asked.country in about.terms.countries
        assert about.terms.payer_countries is None or asked.payer_country in about.terms.payer_countries
        assert choice.way.gross <= about.terms.most.get("USD", choice.way.gross)
        assert choice.way.gross >= about.terms.least.get("USD", choice.way.gross)
    if wish is not None:
        assert choice.way.rail == wish.rail


@given(PAYOUTS, CANDIDATES)
def test_the_net_is_never_above_what_leaves_nor_below_nothing(asked: Asked, candidates: list[Candidate]) -> None:
    found: list[Way] = ways(asked, candidates)
    assert sorted(way.rail for way in found) == sorted(each.rail for each in candidates)
    for way in found:
        if way.net is not None:
            assert Money(0, "USD") <= way.net <= way.gross
        if way.possible:
            assert way.gross.amount_minor > 0
            assert way.net is None or way.net.amount_minor > 0
        assert way.cost is None or way.cost.amount_minor >= 0


def test_every_rail_of_the_file_can_be_read_and_says_where_it_is_from() -> None:
    found = terms.book()
    assert {"stripe_connect", "github_sponsors", "opencollective", "opencollective_expense", "bank_file", "manual"} <= set(
        found.rails
    )
    stripe = found.in_force("stripe_connect", date(2026, 11, 22))
    assert stripe is not None
    assert stripe.countries is not None
    assert {"US", "GB", "DE", "CH", "CA"} <= stripe.countries
    assert "IN" not in stripe.countries
    assert stripe.source
    assert found.in_force("stripe_connect", date(2025, 12, 31)) is None


DATED = """
[[terms]]
rail = "a"
title = "A"
since = 2026-01-01
source = "x"
fees = []
[[terms]]
rail = "a"
title = "A"
since = 2027-01-01
source = "x"
fees = [{ name = "f", percent = "1", paid_by = "payee" }]
"""


def test_terms_hold_from_their_day_on() -> None:
    book = terms.read(DATED)
    before, after = (book.in_force("a", day) for day in (date(2026, 12, 31), date(2027, 1, 1)))
    assert before is not None
    assert after is not None
    assert (before.fees, len(after.fees or ())) == ((), 1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("[[terms", "no TOML"),
        (DATED.replace("2027", "2026"), "twice for the same day"),
        (DATED.replace("2027-01-01", '"soon"'), "not a day"),
        (DATED.replace("source", "sauce"), "“sauce” is not known"),
        (DATED.replace('source = "x"\nfees = []', "fees = []"), "“source” is missing"),
        (DATED.replace("fees = []", 'countries = ["@nowhere"]'), "no group “@nowhere”"),
        (DATED.replace("fees = []", 'countries = ["Germany"]'), "no country of two capitals"),
        (DATED.replace("fees = []", 'most = { USD = "many" }'), "“most”"),
        (DATED.replace('percent = "1"', 'percent = "101"'), "above everything"),
        (DATED.replace('percent = "1", ', ""), "a fee has a name"),
        (DATED.replace('"payee"', '"them"'), "can't be read"),
    ],
)
def test_a_file_that_can_not_be_used_says_where(wrong: str, words: str) -> None:
    with pytest.raises(terms.InvalidInput, match=words):
        terms.read(wrong)
