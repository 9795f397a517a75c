"""What a donor gives, and takes back."""

from uuid import UUID

from compute.forms.amounts import day_begins, day_ends, ticks
from compute.forms.jobs import KIND_WORDS
from compute.models import Flavor, JobKind, OfferKind
from compute.policies import OfferPolicy
from compute.policies.offers import parse_refs
from compute.services.offers import NewOffer
from core.web.forms import (
    DateField,
    DateTimeField,
    DecimalField,
    Form,
    IntegerField,
    NumberRange,
    Optional,
    RadioField,
    SelectField,
    SelectMultipleField,
    TextAreaField,
    TextField,
    required,
)

OFFER_WORDS = {
    OfferKind.CREDITS: "Cloud credits that expire",
    OfferKind.CAPACITY: "Reserved capacity for a window",
    OfferKind.MACHINE: "Hours on our own machines",
}


class OfferForm(Form):
    """GPU time to give."""

    donor = SelectField("Who gives", [required("Choose the organisation that gives.")])
    name = TextField("Name of the offer", [required("Give it a name your colleagues know it by.")], length_max=120)
    kind = RadioField("In which form", choices=[(kind.value, words) for kind, words in OFFER_WORDS.items()], default="capacity")
    flavor = SelectField("Kind of accelerator", [required("Choose a kind of accelerator.")])
    devices = IntegerField("How many", [required("Say how many."), NumberRange(1, 100_000, "At least one.")], default=1)
    opens_on = DateField("First day", [required("Say from when.")])
    closes_on = DateField("Last day", [required("Say until when.")])
    gpu_hours = DecimalField("GPU-hours in all", [Optional()], places=None)
    region = TextField("Region", length_max=60)
    projects = SelectMultipleField("Only for these projects")
    hosts = SelectMultipleField("Only for projects hosted by")
    kinds = SelectMultipleField("Only for", choices=[(kind.value, words) for kind, words in KIND_WORDS.items()])
    trusted_refs = TextAreaField("Only from these branches and tags")
    source = TextField("Public source", length_max=500)
    price_note = TextField("Price note", length_max=250)

    def to_new_offer(self, flavor: Flavor) -> NewOffer:
        """As the service takes it: whole days in UTC, the last one included.

        Raises:
            InvalidInput: hours or refs can't be read.
        """
        return NewOffer(
            name=self.name.data,
            kind=OfferKind(self.kind.data),
            flavor=flavor,
            devices=self.devices.data,
            opens_at=day_begins(self.opens_on.data),
            closes_at=day_ends(self.closes_on.data),
            region=self.region.data or "",
            given_ticks=ticks(self.gpu_hours.data) if self.gpu_hours.data is not None else None,
            policy=OfferPolicy(
                projects=frozenset(UUID(value) for value in self.projects.data or ()),
                hosts=frozenset(UUID(value) for value in self.hosts.data or ()),
                kinds=frozenset(JobKind(value) for value in self.kinds.data or ()),
                trusted_refs=parse_refs(self.trusted_refs.data or ""),
            ),
            source=self.source.data,
            price_note=self.price_note.data,
        )


class TakeBackForm(Form):
    """Ending an offer early."""

    at = DateTimeField("Running jobs may go on until", [required("Say until when running jobs may go on.")])


class AcceptOfferForm(Form):
    """Tying an offer to the hardware behind it."""

    pool = SelectField("Pool", [required("Choose the pool its hardware is behind.")])
