"""Reports: one document, shown as a page, as JSON and as CSV files.

A command builds a :class:`Report` from its result (:mod:`relgraph.report.stitching`, :mod:`relgraph.report.upgrade`)
and writes it with :func:`save_html` and :func:`save_tables`.
"""

from relgraph.report.document import Cell as Cell
from relgraph.report.document import Column as Column
from relgraph.report.document import Estimate as Estimate
from relgraph.report.document import Figure as Figure
from relgraph.report.document import Report as Report
from relgraph.report.document import Section as Section
from relgraph.report.document import Table as Table
from relgraph.report.document import save_tables as save_tables
from relgraph.report.html import render_html as render_html
from relgraph.report.html import save_html as save_html
