"""How the shop's tables look on disk: CSV, JSON lines and Parquet, the same bytes for the same rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as parquet

from inseam.testing.retail.assortment import COLOURS, COUNTRIES, SEASONS, Assortment
from inseam.testing.retail.calendar import CATEGORIES
from inseam.testing.retail.columns import Array, Columns, Flags, iso
from inseam.testing.retail.customers import CHANNELS
from inseam.testing.retail.orders import BAD_TIME, NEGATIVE, NO_CUSTOMER, PAYMENTS, RAGGED
from inseam.testing.retail.returns import REASONS
from inseam.testing.retail.sessions import DEVICES

CATEGORY_NAMES = np.array(CATEGORIES)
BAD_TIMES = np.array(["2023-13-45T25:61:00Z", "yesterday", "00/00/0000", "n.a.", "2023-02-30T10:00:00Z"])
EXTRA_FIELD = b",late correction"


def named(names: Array, index: Array, missing: Flags | None = None) -> pa.Array:
    """Text by index into the names, null where missing."""
    indices = pa.array(index.astype(np.int32), mask=missing)
    return pc.take(pa.array(names), indices)


def write_csv(path: Path, columns: Mapping[str, Any]) -> None:
    """One CSV file with a header and no quotes, empty for null; no text of ours holds a comma."""
    csv.write_csv(pa.table(dict(columns)), path, csv.WriteOptions(quoting_style="none", quoting_header="none"))


def write_parquet(path: Path, columns: Mapping[str, Any]) -> None:
    """One Parquet file."""
    parquet.write_table(pa.table(dict(columns)), path, compression="zstd")


def write_json_lines(path: Path, columns: Mapping[str, Any]) -> None:
    """One JSON object a line; the text columns hold nothing that JSON escapes."""
    parts: list[Any] = []
    for position, (name, values) in enumerate(columns.items()):
        array = pa.array(values)
        quote = '"' if pa.types.is_string(array.type) else ""
        parts += [f'{", " if position else "{"}"{name}": {quote}', array.cast(pa.string()), quote]
    lines = pc.binary_join_element_wise(*parts, "}\n", "")
    path.write_bytes("".join(lines.to_pylist()).encode())


def write_customers(path: Path, seen: Columns) -> None:
    """customers.csv"""
    columns = {
        "customer_id": seen["customer_id"],
        "joined_at": iso(seen["joined_at"]),
        "birth_year": pa.array(seen["birth_year"], mask=seen["birth_year_missing"]),
        "country": named(COUNTRIES, seen["country"]),
        "channel": named(CHANNELS, seen["channel"]),
        "email_opt_in": seen["email_opt_in"],
    }
    write_csv(path, columns)


def write_products(path: Path, products: Columns) -> None:
    """products.csv"""
    texts = {"category": CATEGORY_NAMES, "colour": COLOURS, "season": SEASONS}
    write_csv(path, {name: named(texts[name], v) if name in texts else v for name, v in products.items()})


def write_stores(path: Path, stores: Columns) -> None:
    """stores.csv"""
    write_csv(path, {**stores, "country": named(COUNTRIES, stores["country"]), "opened_at": iso(stores["opened_at"])})


def write_promotions(path: Path, promotions: Columns) -> None:
    """promotions.csv; a null category means all."""
    category = promotions["category"]
    changed = {
        "category": named(CATEGORY_NAMES, category, category < 0),
        "starts_at": iso(promotions["starts_at"]),
        "ends_at": iso(promotions["ends_at"]),
    }
    write_csv(path, {**promotions, **changed})


def write_orders(path: Path, lines: Columns, assortment: Assortment, customer_ids: Array, promotion_ids: Array) -> None:
    """A month of order lines, with their faults, as CSV or Parquet by the file's ending."""
    fault = lines["fault"]
    columns = {
        "order_id": lines["order_id"],
        "order_line": lines["order_line"],
        "customer_id": pa.array(customer_ids[lines["customer"]], mask=fault == NO_CUSTOMER),
        "product_id": named(assortment.products["product_id"], lines["product"]),
        "store_id": named(assortment.stores["store_id"], lines["store"]),
        "ordered_at": lines["ordered_at"],
        "quantity": lines["quantity"],
        "unit_price": lines["unit_price"],
        "discount": lines["discount"],
        "amount": np.where(fault == NEGATIVE, -lines["amount"], lines["amount"]),
        "promotion_id": named(promotion_ids, lines["promotion"], lines["promotion"] < 0),
        "payment": named(PAYMENTS, lines["payment"]),
    }
    if path.suffix == ".parquet":
        columns["ordered_at"] = instants(lines["ordered_at"], fault == BAD_TIME)
        write_parquet(path, columns)
        return
    columns["ordered_at"] = spoiled(iso(lines["ordered_at"]), fault == BAD_TIME)
    write_csv(path, columns)
    add_field(path, np.flatnonzero(fault == RAGGED))


def instants(values: Array, missing: Flags | None = None) -> pa.Array:
    """Seconds since the epoch as UTC timestamps of microseconds."""
    return pa.array(values * 1_000_000, mask=missing).cast(pa.timestamp("us", "UTC"))


def spoiled(texts: Array, bad: Flags) -> Array:
    """Timestamps as text, the bad ones replaced by what nobody can parse."""
    return np.where(bad, BAD_TIMES[np.cumsum(bad) % len(BAD_TIMES)], texts)


def add_field(path: Path, rows: Array) -> None:
    """Give these rows of a CSV file a field too many."""
    if not len(rows):
        return
    lines = path.read_bytes().split(b"\n")
    for row in rows + 1:
        lines[row] += EXTRA_FIELD
    path.write_bytes(b"\n".join(lines))


def write_returns(path: Path, returns: Columns, assortment: Assortment, customer_ids: Array) -> None:
    """A month of returns as JSON lines."""
    columns = {
        "return_id": returns["return_id"],
        "order_id": returns["order_id"],
        "order_line": returns["order_line"],
        "customer_id": customer_ids[returns["customer"]],
        "product_id": named(assortment.products["product_id"], returns["product"]),
        "returned_at": iso(returns["returned_at"]),
        "amount": returns["amount"],
        "reason": named(REASONS, returns["reason"]),
    }
    write_json_lines(path, columns)


def write_sessions(path: Path, sessions: Columns, customer_ids: Array) -> None:
    """A month of web sessions as Parquet."""
    columns = {
        "session_id": sessions["session_id"],
        "customer_id": customer_ids[sessions["customer"]],
        "started_at": instants(sessions["started_at"]),
        "pages": sessions["pages"],
        "minutes": sessions["minutes"],
        "device": named(DEVICES, sessions["device"]),
        "added_to_cart": sessions["added_to_cart"],
    }
    write_parquet(path, columns)
