"""What the shop knows: its sources, and the features of customers and products."""

from inseam import Entity, FeatureView, Source, Transform, count, distinct, last, max, mean, not_null, sum

customer = Entity("customer", key="customer_id")
product = Entity("product", key="product_id")

customers = Source("customers", "data/customers.csv", timestamp="joined_at", key="customer_id")
orders = Source(
    "orders",
    "data/orders/*.csv",
    timestamp="ordered_at",
    key=("order_id", "order_line"),
    checks=[not_null("customer_id"), "amount >= 0"],
    owner="growth",
)
returns = Source("returns", "data/returns/*.jsonl", timestamp="returned_at", key="return_id")
web_sessions = Source("web_sessions", "data/web_sessions/*.parquet", timestamp="started_at", key="session_id")

lines = Transform(
    "lines",
    orders,
    sql="SELECT *, discount > 0 AS is_reduced, store_id = 'S001' AS is_online FROM orders",
)

profile = FeatureView(
    "profile",
    customers,
    customer,
    every="1d",
    features={"country": last("country"), "channel": last("channel"), "birth_year": last("birth_year")},
)
spend = FeatureView(
    "spend",
    lines,
    customer,
    every="1d",
    features={
        "orders_30d": distinct("order_id", over="30d"),
        "orders_90d": distinct("order_id", over="90d"),
        "orders_365d": distinct("order_id", over="365d"),
        "spend_30d": sum("amount", over="30d"),
        "spend_365d": sum("amount", over="365d"),
        "line_amount_365d": mean("amount", over="365d"),
        "dearest_365d": max("unit_price", over="365d"),
        "reduced_lines_365d": count(over="365d", where="is_reduced"),
        "online_lines_365d": count(over="365d", where="is_online"),
        "last_store": last("store_id", ttl="365d"),
    },
)
browsing = FeatureView(
    "browsing",
    web_sessions,
    customer,
    every="1d",
    features={
        "visits_14d": count(over="14d"),
        "visits_60d": count(over="60d"),
        "pages_60d": mean("pages", over="60d"),
        "carts_60d": count(over="60d", where="added_to_cart"),
    },
)
sent_back = FeatureView(
    "sent_back",
    returns,
    customer,
    every="1d",
    features={"returns_90d": count(over="90d"), "returns_365d": count(over="365d")},
)
product_sales = FeatureView("product_sales", lines, product, every="1d", features={"sold_180d": count(over="180d")})
product_returns = FeatureView(
    "product_returns",
    returns,
    product,
    every="1d",
    features={
        "came_back_180d": count(over="180d"),
        "came_back_for_size_180d": count(over="180d", where="reason = 'size'"),
    },
)
