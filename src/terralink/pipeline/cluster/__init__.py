"""Many machines: scenes as small tasks on a Dask cluster, each of which can be lost.

    a scene:  look what is missing ─┬─ make some bands ─┬─ merge them to its map
                                    ├─ make some bands ─┤
                                    └─ ...              ┘

All that a task makes goes into the scene's job (``jobs``) on storage that every machine sees; what
goes over the wire is names. So a task that is lost, or done twice, costs time and nothing else.
A worker has one task at a time, whatever the number of scenes. A task makes as many bands as keep
its first row cheap, which is computed for blending alone; when no scene is left to begin, the bands
that are left are shared out, so that no worker stands still. Needs the extra ``cluster``.
"""

from terralink.pipeline.cluster.connect import connected, local_count, threads_at
from terralink.pipeline.cluster.order import Files, Loadable, Order
from terralink.pipeline.cluster.run import extracted

__all__ = ["Files", "Loadable", "Order", "connected", "extracted", "local_count", "threads_at"]
