"""The simulated retailer: same bytes, sound references, rates that hold at any scale, behaviour that can be learnt."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from inseam.testing.retail import Retail, simulate
from inseam.testing.retail.__main__ import main

pd = pytest.importorskip("pandas")

SHIFT = 640
ORDER_COLUMNS = [
    "order_id", "order_line", "customer_id", "product_id", "store_id", "ordered_at",
    "quantity", "unit_price", "discount", "amount", "promotion_id", "payment",
]  # fmt: skip


def day_of(instants, retail: Retail):
    return (pd.to_datetime(instants, utc=True, errors="coerce") - retail.start).dt.total_seconds() / 86_400


def read_orders(retail: Retail):
    """Order lines that a strict reader can parse, with their day."""
    months = [pd.read_csv(path, on_bad_lines="skip") for path in sorted(retail.orders.glob("*.csv"))]
    lines = pd.concat(months, ignore_index=True)
    return lines.assign(day=day_of(lines["ordered_at"], retail))


def read_returns(retail: Retail):
    rows = [json.loads(line) for path in sorted(retail.returns.glob("*.jsonl")) for line in path.open()]
    returns = pd.DataFrame(rows)
    return returns.assign(day=day_of(returns["returned_at"], retail))


def read_sessions(retail: Retail):
    sessions = parquet.read_table(retail.web_sessions).to_pandas()
    return sessions.assign(day=day_of(sessions["started_at"], retail))


def digest(directory: Path) -> dict[str, str]:
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def retail(tmp_path_factory) -> Retail:
    return simulate(tmp_path_factory.mktemp("retail"), scale=0.1)


@pytest.fixture(scope="module")
def orders(retail):
    return read_orders(retail)


@pytest.fixture(scope="module")
def clean(orders):
    return orders[orders["day"].notna() & orders["customer_id"].notna() & (orders["amount"] >= 0)]


@pytest.fixture(scope="module")
def returns(retail):
    return read_returns(retail)


@pytest.fixture(scope="module")
def sessions(retail):
    return read_sessions(retail)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_same_arguments_write_the_same_bytes(tmp_path, format):
    first, second, other = (
        simulate(tmp_path / name, scale=0.01, seed=seed, days=120, shift_at=90, format=format)
        for name, seed in (("first", 3), ("second", 3), ("other", 4))
    )
    assert digest(first.directory) == digest(second.directory)
    assert digest(first.directory) != digest(other.directory)
    assert first.rows == second.rows
    assert first.dirty == second.dirty


def test_files_have_the_columns_and_rows_that_are_promised(retail, orders, returns, sessions):
    assert list(orders.columns[:-1]) == ORDER_COLUMNS
    assert retail.rows["orders"] == len(orders) + retail.dirty["ragged line"]
    assert retail.rows["returns"] == len(returns)
    assert retail.rows["web_sessions"] == len(sessions)
    for table in ("customers", "products", "stores", "promotions"):
        assert retail.rows[table] == len(pd.read_csv(getattr(retail, table)))
    assert retail.rows["promotions"] == 24
    assert len(list(retail.orders.iterdir())) == 24
    customers = pd.read_csv(retail.customers)
    assert 0.05 < customers["birth_year"].isna().mean() < 0.2
    assert customers["customer_id"].is_unique


def test_references_hold(retail, orders, clean, returns, sessions):
    customers = set(pd.read_csv(retail.customers)["customer_id"])
    stores = pd.read_csv(retail.stores)
    promotions = pd.read_csv(retail.promotions)
    assert set(clean["customer_id"]) <= customers
    assert set(sessions["customer_id"]) <= customers
    assert set(orders["product_id"]) <= set(pd.read_csv(retail.products)["product_id"])
    assert set(orders["store_id"]) <= set(stores["store_id"])
    assert set(orders["promotion_id"].dropna()) <= set(promotions["promotion_id"])
    assert not orders.duplicated(["order_id", "order_line"]).any()
    assert sessions["session_id"].is_unique
    assert returns["return_id"].is_unique
    bought = returns.merge(clean, on=["order_id", "order_line"], suffixes=("", "_bought"))
    assert len(bought) == len(returns)
    assert (bought["customer_id"] == bought["customer_id_bought"]).all()
    assert (bought["product_id"] == bought["product_id_bought"]).all()
    assert (bought["amount"] == bought["amount_bought"]).all()
    assert (bought["day"] > bought["day_bought"] + 1).all()


def test_nothing_happens_before_its_time(retail, clean, sessions):
    customers = pd.read_csv(retail.customers).set_index("customer_id")["joined_at"]
    stores = pd.read_csv(retail.stores).set_index("store_id")["opened_at"]
    assert (clean["ordered_at"] >= clean["customer_id"].map(customers)).all()
    assert (clean["ordered_at"] >= clean["store_id"].map(stores)).all()
    assert (stores > retail.start.isoformat()).sum() >= 2
    assert clean["day"].between(0, 730, inclusive="left").all()
    assert sessions["day"].between(0, 730, inclusive="left").all()
    promoted = clean.merge(pd.read_csv(retail.promotions), on="promotion_id")
    assert (promoted["ordered_at"] >= promoted["starts_at"]).all()
    assert (promoted["ordered_at"] < promoted["ends_at"]).all()
    assert (promoted["discount_x"] == promoted["discount_y"]).all()


def test_faults_are_there_as_counted(retail, orders):
    found = {
        "missing customer_id": int(orders["customer_id"].isna().sum()),
        "negative amount": int((orders["amount"] < 0).sum()),
        "unparsable ordered_at": int(orders["day"].isna().sum()),
        "ragged line": sum(
            line.count(",") != len(ORDER_COLUMNS) - 1 for path in retail.orders.iterdir() for line in path.open()
        ),
    }
    assert found == dict(retail.dirty)
    assert all(found.values())
    assert sum(found.values()) < 0.02 * len(orders)


def test_parquet_orders_have_types_and_the_same_faults_but_no_ragged_line(tmp_path):
    retail = simulate(tmp_path, scale=0.1, days=120, shift_at=60, format="parquet")
    table = parquet.read_table(retail.orders)
    assert table.column_names == ORDER_COLUMNS
    assert str(table.schema.field("ordered_at").type) == "timestamp[us, tz=UTC]"
    assert table["ordered_at"].null_count == retail.dirty["unparsable ordered_at"] > 0
    assert retail.dirty["ragged line"] == 0


def test_rates_do_not_depend_on_scale(retail, tmp_path):
    small = simulate(tmp_path, scale=0.03)
    for table in ("orders", "returns", "web_sessions"):
        rate, small_rate = (r.rows[table] / r.rows["customers"] for r in (retail, small))
        assert small_rate == pytest.approx(rate, rel=0.2), table
    assert retail.rows["orders"] == pytest.approx(60_000, rel=0.15)
    assert retail.rows["returns"] == pytest.approx(0.08 * retail.rows["orders"], rel=0.2)


def test_week_year_and_sales_are_visible(clean):
    by_day = clean.groupby(clean["day"].astype(int)).size().reindex(range(730), fill_value=0)
    dates = pd.Timestamp("2023-01-01") + pd.to_timedelta(by_day.index, "D")
    by_weekday = by_day.groupby(dates.day_of_week).mean()
    assert by_weekday.idxmax() == 5
    assert by_weekday[5] > 1.3 * by_weekday[1]
    for friday in ("2023-11-24", "2024-11-29"):
        before = by_day[(dates >= pd.Timestamp(friday) - pd.Timedelta("40D")) & (dates < pd.Timestamp(friday))]
        assert by_day[dates == friday].item() > 2 * before.mean()


def test_categories_have_seasons_and_return_rates(retail, clean, returns):
    category = pd.read_csv(retail.products).set_index("product_id")["category"]
    bought = clean["product_id"].map(category)
    month = (clean["day"] % 365 // 30.5).astype(int)
    knitwear = (bought == "knitwear").groupby(month).mean()
    assert knitwear[0] > 2 * knitwear[5]
    rate = returns["product_id"].map(category).value_counts() / bought.value_counts()
    assert rate["dresses"] > 3 * rate["basics"]


def test_promotions_lift_orders(retail, clean):
    promotions = pd.read_csv(retail.promotions)
    wide = promotions[promotions["name"].str.startswith("Summer sale")]
    for promotion in wide.itertuples():
        first, last = day_of(pd.Series([promotion.starts_at, promotion.ends_at]), retail)
        during = clean["day"].between(first, last).sum() / (last - first)
        after = clean["day"].between(last + 7, last + 35).sum() / 28
        assert during > 1.3 * after


def test_shift_moves_demand_discounts_channels_and_lapsing(retail, clean, sessions):
    assert (retail.shift_at - retail.start).days == SHIFT
    category = clean["product_id"].map(pd.read_csv(retail.products).set_index("product_id")["category"])
    after = clean["day"] >= SHIFT + 21
    same_season = clean["day"].between(SHIFT + 21 - 366, 730 - 366)
    is_denim = category == "denim"
    assert is_denim[after].mean() > 1.4 * is_denim[same_season].mean()
    assert clean["discount"][after].mean() > 1.4 * clean["discount"][same_season].mean()
    customers = pd.read_csv(retail.customers)
    joined = day_of(customers["joined_at"], retail)
    is_creator = customers["channel"] == "creator"
    assert not is_creator[joined < SHIFT].any()
    assert is_creator[joined >= SHIFT].mean() > 0.3
    assert silence(clean, 665) > silence(clean, 665 - 366) + 0.04
    browsing = sessions.groupby(sessions["day"] >= SHIFT).size() / [SHIFT, 730 - SHIFT]
    assert browsing[True] > browsing[False]


def silence(clean, boundary: float) -> float:
    """The share of customers of the last 90 days who buy nothing in the next 60."""
    active = clean["customer_id"][clean["day"].between(boundary - 90, boundary)].unique()
    buying = clean["customer_id"][clean["day"].between(boundary, boundary + 60)].unique()
    return 1 - np.isin(active, buying).mean()


def lapse_features(clean, returns, sessions, boundary: float):
    """Windows of 30, 90 and 365 days up to the boundary, and whether nothing is bought in the 60 days behind it."""
    active = clean["customer_id"][clean["day"].between(boundary - 180, boundary)].unique()
    features = pd.DataFrame(index=active)
    for over in (30, 90, 365):
        bought, sent_back, visited = (
            t[(t["day"] < boundary) & (t["day"] >= boundary - over)].groupby("customer_id")
            for t in (clean, returns, sessions)
        )
        features[f"orders_{over}d"] = bought["order_id"].nunique()
        features[f"spend_{over}d"] = bought["amount"].sum()
        features[f"returns_{over}d"] = sent_back.size()
        features[f"sessions_{over}d"] = visited.size()
        features[f"pages_{over}d"] = visited["pages"].sum()
    buying = clean["customer_id"][(clean["day"] >= boundary) & (clean["day"] < boundary + 60)].unique()
    return features.fillna(0), ~np.isin(active, buying)


def test_lapse_is_learnable_and_decays_after_the_shift(clean, returns, sessions):
    ensemble, metrics = pytest.importorskip("sklearn.ensemble"), pytest.importorskip("sklearn.metrics")
    frames = {b: lapse_features(clean, returns, sessions, b) for b in (200, 260, 320, 380, 440, 500, 560, 670)}
    past = [frames[b] for b in frames if b <= 440]
    model = ensemble.HistGradientBoostingClassifier(max_iter=60, learning_rate=0.06, random_state=0)
    model.fit(pd.concat([x for x, _ in past]), np.concatenate([y for _, y in past]))
    score = {b: metrics.roc_auc_score(y, model.predict_proba(x)[:, 1]) for b, (x, y) in frames.items() if b > 440}
    assert 0.7 < score[500] < 0.92
    assert 0.7 < score[560] < 0.92
    assert score[670] < score[500] - 0.02


def test_return_of_a_line_is_learnable(retail, clean, returns):
    ensemble, metrics = pytest.importorskip("sklearn.ensemble"), pytest.importorskip("sklearn.metrics")
    lines = clean.merge(pd.read_csv(retail.products), on="product_id")
    sent_back = pd.MultiIndex.from_frame(returns[["order_id", "order_line"]])
    lines["is_back"] = pd.MultiIndex.from_frame(lines[["order_id", "order_line"]]).isin(sent_back)
    lines["past_returns"] = (
        lines["customer_id"].map(returns[returns["day"] < 400].groupby("customer_id").size()).fillna(0)
    )
    lines["past_lines"] = lines["customer_id"].map(clean[clean["day"] < 400].groupby("customer_id").size()).fillna(0)
    lines["is_online"] = lines["store_id"] == "S001"
    for text in ("category", "payment"):
        lines[text] = lines[text].astype("category").cat.codes
    columns = ["past_returns", "past_lines", "is_online", "category", "payment", "discount", "unit_price"]
    train, test = lines[lines["day"].between(400, 530)], lines[lines["day"].between(530, 660)]
    model = ensemble.HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(train[columns], train["is_back"])
    assert 0.65 < metrics.roc_auc_score(test["is_back"], model.predict_proba(test[columns])[:, 1]) < 0.9


@pytest.mark.parametrize(("start", "days"), [("2024-02-29", 1), ("2023-11-01", 5), ("2023-12-20", 40)])
def test_short_simulations_are_whole(tmp_path, start, days):
    seen = []
    retail = simulate(tmp_path, scale=0.001, start=start, days=days, progress=lambda *step: seen.append(step))
    assert (retail.end - retail.start).days == days
    assert [done for _, done, _ in seen] == list(range(1, seen[-1][2] + 1))
    assert len(list(retail.web_sessions.iterdir())) == len(seen)


@pytest.mark.parametrize("wrong", [{"scale": 0}, {"days": 0}, {"shift_at": -1}, {"format": "xml"}])
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        simulate(tmp_path / "shop", **wrong)
    assert not (tmp_path / "shop").exists()


def test_months_of_another_simulation_are_not_mixed_in(tmp_path):
    simulate(tmp_path, scale=0.001, days=40)
    simulate(tmp_path, scale=0.001, days=40, seed=8)
    with pytest.raises(FileExistsError, match="2023-02"):
        simulate(tmp_path, scale=0.001, days=20)


def test_command_writes_and_tells(tmp_path, capsys):
    assert main([str(tmp_path), "--scale", "0.001", "--days", "40", "--shift-at", "30"]) == 0
    told = capsys.readouterr()
    assert "orders" in told.out
    assert "shift at 2023-01-31" in told.out
    assert "2/2" in told.err
    assert main([str(tmp_path), "--scale", "-1"]) == 2
    assert "scale must be a positive number" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "example:" in capsys.readouterr().out
