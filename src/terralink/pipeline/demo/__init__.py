"""The whole house in one walk: a town is drawn, extracted, scored against the truth, and shown.

    town ── scene.tif ── extract ── scene.gpkg, scene.prob.tif ──┐
      └──── truth.gpkg ──────────────────────────────────────────┴── scores ── report.html

walk   from town to scores
page   what the report shows of them

All of it streams, and the pictures are small, so a town may be of any size.
"""

from terralink.pipeline.demo.page import page
from terralink.pipeline.demo.walk import Files, Result, walk

__all__ = ["Files", "Result", "page", "walk"]
