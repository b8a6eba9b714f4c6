"""The report: one HTML file that holds everything it shows and asks nothing of the network."""

from evaluation.report.build import build_report
from evaluation.report.data import CellResult, ReportData

__all__ = ["CellResult", "ReportData", "build_report"]
