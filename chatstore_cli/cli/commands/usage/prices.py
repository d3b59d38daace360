"""`chatstore usage prices`: the prices from which usage reports calculate costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.usage.pricing import CostMode, Pricing, models_in, price_all
from chatstore_cli.domain.errors import ExitCode, NotFound
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.usage_costs import CHECK_COLUMNS, PRICE_COLUMNS, price_row, unpriced_row
from chatstore_cli.wiring.prices import price_table
from chatstore_cli.wiring.usage import usage_sums

if TYPE_CHECKING:
    from chatstore_cli.domain.prices import PriceTable

app = group("prices", "Show and check the prices of `usage --cost calculate`.")


@command(
    app,
    "show",
    examples=["chatstore usage prices show", "chatstore usage prices show gpt-4o"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def show(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="The model as applications report it [default: all models of the ledger]."
        ),
    ] = None,
) -> None:
    """Show the prices of a model, or of all models in the usage ledger.

    Prices are for one million tokens. The file chatstore.usage.prices_file has precedence over the package genai-prices. If
    two prices hold on a day, the first one counts.
    """
    invocation = Invocation(context)
    table = price_table(invocation.settings.chatstore.usage)
    if model is not None:
        found = _rows(model, table)
        if not table.prices(model):
            hint = "Add it to the file chatstore.usage.prices_file."
            raise NotFound(kind_of_thing="price of model", name=model, where=f" in {table.describe()}", hint=hint)
    else:
        models = models_in(usage_sums(invocation.stores))
        found = [row for each in models for row in _rows(each, table)]
    invocation.emit(Listing(PRICE_COLUMNS, found, empty="The usage ledger has no models."))
    for note in dict.fromkeys(f"{row['model']}: {row['note']}" for row in found if row["note"]):
        invocation.say(note)


def _rows(model: str, table: PriceTable) -> list[dict[str, Any]]:
    return [price_row(model, price) for price in table.prices(model)] or [price_row(model, None)]


@command(
    app,
    "check",
    examples=["chatstore usage prices check"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.FINDINGS],
    meanings={ExitCode.FINDINGS: "findings: a model in the usage ledger has no price"},
)
def check(context: typer.Context) -> None:
    """Check the file of prices and the models without a price.

    Every model in the usage ledger needs a price on the days of its usage.
    An error in the file is reported with its line. The command exits with status 6 if a model has no price.
    """
    invocation = Invocation(context)
    pricing = Pricing(CostMode.CALCULATE, price_table(invocation.settings.chatstore.usage))
    priced = price_all(usage_sums(invocation.stores), pricing)
    missing = [each for each in pricing.missing_prices() if each.model is not None]
    rows = [unpriced_row(each) for each in missing]
    known = f"Prices are known for {quantity(priced, 'model')}." if priced else "The usage ledger has no models."
    invocation.emit(Listing(CHECK_COLUMNS, rows, empty=known))
    for each in pricing.missing_prices():
        if each.model is None:
            invocation.say(f"{each.tokens:,} tokens of the ledger have no model, so no price.")
    if missing:
        invocation.say("Add these models to the file chatstore.usage.prices_file, or correct its days.")
        raise typer.Exit(ExitCode.FINDINGS)
