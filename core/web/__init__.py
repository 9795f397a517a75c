"""The web shell: the request's session and person, CSRF, headers, errors, forms, pagination, navigation.

from core.web import current_person, db, page, refused, requires, signed_in

@bp.post("/<uuid:thing_id>/approval")
@requires(Role.PAYOUT_APPROVER)
@fresh_second_factor
def create_approval(thing_id: UUID) -> ResponseReturnValue:
    services.approve(db(), thing_id, approver=current_person(), now=utc_now())
    flash("The payout is approved.")
    return redirect(url_for(".show", thing_id=thing_id), code=303)

A view that shows a form again:

    form = ThingForm()
    if form.validate_on_submit():
        try:
            thing = services.create(db(), ...)
        except DomainError as error:
            refused(form, error)                      # rolled back; the sentence stands beside its field
        else:
            return redirect(url_for(".show", thing_id=thing.id), code=303)
    return page("domain/edit.html", form=form)        # 422 when the form has errors, else 200
"""

from core.web.application import build_app
from core.web.context import db, transactions
from core.web.gates import fresh_second_factor, requires, signed_in
from core.web.pages import flash, page, refused
from core.web.visitor import current_person, visitor

__all__ = [
    "build_app",
    "current_person",
    "db",
    "flash",
    "fresh_second_factor",
    "page",
    "refused",
    "requires",
    "signed_in",
    "transactions",
    "visitor",
]
