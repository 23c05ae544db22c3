"""What this engine shares with DuckDB's, so that both give the same bits. No other module of this room looks there.

The sweep answers windows. SQL that users write is in DuckDB's dialect: it is checked and typed on the driver by DuckDB
and run in the workers by DuckDB, so that no expression is ever translated.
"""

from inseam.adapters.duckdb.describe import describe
from inseam.adapters.duckdb.engine import DuckdbEngine
from inseam.adapters.duckdb.expression import check_condition, check_expression
from inseam.adapters.duckdb.features import Source, Work, boundary_of, check_spine, compute, span
from inseam.adapters.duckdb.relation import Compiled, compiled, source_name, with_system
from inseam.adapters.duckdb.rows import plain_stream
from inseam.adapters.duckdb.session import DUCKDB_SHARE, Limits, Session, cores, memory_bytes, plain_schema, quote
from inseam.adapters.duckdb.spine import read_spine
from inseam.adapters.duckdb.superseded import check_upserts
from inseam.adapters.duckdb.view_plan import ViewPlan, check_names, plan_view

__all__ = [
    "DUCKDB_SHARE",
    "Compiled",
    "DuckdbEngine",
    "Limits",
    "Session",
    "Source",
    "ViewPlan",
    "Work",
    "boundary_of",
    "check_condition",
    "check_expression",
    "check_names",
    "check_spine",
    "check_upserts",
    "compiled",
    "compute",
    "cores",
    "describe",
    "memory_bytes",
    "plain_schema",
    "plain_stream",
    "plan_view",
    "quote",
    "read_spine",
    "source_name",
    "span",
    "with_system",
]
