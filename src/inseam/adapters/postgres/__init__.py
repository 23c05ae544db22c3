"""Online rows on PostgreSQL."""
