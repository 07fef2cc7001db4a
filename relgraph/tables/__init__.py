"""Tables of embeddings in files: matched by ids, translated in blocks, each row with the trust that it deserves."""

from __future__ import annotations

from relgraph.tables.compare import compare_tables
from relgraph.tables.plan import TablePlan, plan_translation
from relgraph.tables.reading import open_table
from relgraph.tables.report import TableReport
from relgraph.tables.translate import translate_table
from relgraph.tables.trust import Trust

__all__ = ["TablePlan", "TableReport", "Trust", "compare_tables", "open_table", "plan_translation", "translate_table"]
