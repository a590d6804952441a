"""Where tables come from: each source reads its files and renames its columns to the data contract."""

from data_pipelines.sources.complete_journey import read_complete_journey
from data_pipelines.sources.source import RawTable, Source
from data_pipelines.sources.tables import read_tables

__all__ = ["RawTable", "Source", "read_complete_journey", "read_tables"]
