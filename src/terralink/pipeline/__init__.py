"""From scenes to maps: extraction in one process, in resumable jobs, on a cluster; differences."""
