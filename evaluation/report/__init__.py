"""The report: one HTML file that contains everything it shows. It needs no network."""

from evaluation.report.build import build_report
from evaluation.report.data import CellResult, ReportData

__all__ = ["CellResult", "ReportData", "build_report"]
