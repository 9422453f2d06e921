"""From folders of images to samples. ``chips`` and ``datasets`` need no torch, the rest does."""
