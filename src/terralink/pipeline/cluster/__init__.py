"""Many machines: scenes as small tasks on a Dask cluster, each of which may be lost.

    a scene:  plan what is missing ─┬─ compute some bands ─┬─ merge them into its map
                                    ├─ compute some bands ─┤
                                    └─ ...                 ┘

The results of a task go into the scene's job (``jobs``) on storage that every machine sees; only
names go over the network. So a task that is lost, or done twice, costs time and nothing else.
A worker has one task at a time, whatever the number of scenes. A task computes many bands, because
the first row of tiles of each task is needed for blending alone; when no scene is left to begin,
the remaining bands are divided, so that no worker is idle. Needs the extra ``cluster``.
"""

from terralink.pipeline.cluster.scheduler import connect, local_count, run_tasks, threads_per_worker
from terralink.pipeline.cluster.tasks import ModelSource, ModelSpec, SceneTask

__all__ = [
    "ModelSource",
    "ModelSpec",
    "SceneTask",
    "connect",
    "local_count",
    "run_tasks",
    "threads_per_worker",
]
