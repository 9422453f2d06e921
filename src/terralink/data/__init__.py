"""From folders of images to samples. ``augment`` and ``samples`` need torch, the rest does not."""
