"""The trade as it was recorded, what counts as a purchase or a cancellation, and the features of customers."""

import os

from inseam import (
    Entity,
    FeatureView,
    Source,
    Transform,
    distinct,
    first,
    last,
    max,
    mean,
    not_null,
    sum,
    unique,
)

LONDON = "Europe/London"
DATA = f"{os.environ['INSEAM_DATA']}/online_retail" if os.environ.get("INSEAM_DATA") else "data"

LINE = ("invoice", "article", "description", "quantity", "invoiced_at", "unit_price", "customer_id", "country")

customer = Entity("customer", key="customer_id")

invoice_lines = Source(
    "invoice_lines",
    f"{DATA}/by_day/*.csv",
    timestamp="invoiced_at",
    timezone=LONDON,
    rename={
        "InvoiceNo": "invoice",
        "StockCode": "article",
        "Description": "description",
        "Quantity": "quantity",
        "InvoiceDate": "invoiced_at",
        "UnitPrice": "unit_price",
        "CustomerID": "customer_id",
        "Country": "country",
    },
    schema={
        "invoice": "string",
        "article": "string",
        "description": "string",
        "quantity": "int64",
        "invoiced_at": "timestamp",
        "unit_price": "float64",
        "customer_id": "int64",
        "country": "string",
    },
    checks=[
        not_null("invoice", "article", "quantity", "unit_price"),
        not_null("customer_id", severity="warn"),
        unique(*LINE, severity="warn"),
    ],
)

# Five digits name an article; other codes are postage, fees, samples and manual corrections.
purchases = Transform(
    "purchases",
    invoice_lines,
    sql="""
    SELECT *, quantity * unit_price AS amount FROM invoice_lines
    WHERE customer_id IS NOT NULL AND quantity > 0 AND unit_price > 0 AND regexp_matches(article, '^[0-9]{5}')
    """,
)
cancellations = Transform(
    "cancellations",
    invoice_lines,
    sql="""
    SELECT *, -quantity * unit_price AS amount FROM invoice_lines
    WHERE customer_id IS NOT NULL AND invoice LIKE 'C%' AND quantity < 0 AND regexp_matches(article, '^[0-9]{5}')
    """,
)

buying = FeatureView(
    "buying",
    purchases,
    customer,
    every="1d",
    timezone=LONDON,
    features={
        "invoices_30d": distinct("invoice", over="30d"),
        "invoices_90d": distinct("invoice", over="90d"),
        "invoices": distinct("invoice"),
        "spent_30d": sum("amount", over="30d"),
        "spent_90d": sum("amount", over="90d"),
        "spent": sum("amount"),
        "articles_90d": distinct("article", over="90d"),
        "line_quantity": mean("quantity"),
        "dearest": max("unit_price"),
        "country": last("country"),
        "bought_first": first("invoiced_at"),
        "bought_last": last("invoiced_at"),
    },
)
cancelling = FeatureView(
    "cancelling",
    cancellations,
    customer,
    every="1d",
    timezone=LONDON,
    features={"cancelled_90d": distinct("invoice", over="90d"), "refunded": sum("amount")},
)
