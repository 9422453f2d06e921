"""Reports to look at: one HTML file that holds its pictures and loads nothing from the network."""

from terralink.report.page import Figure, Key, Layer, Listing, Page, Table

__all__ = ["Figure", "Key", "Layer", "Listing", "Page", "Table"]
