"""What would fail at the first step is found before anything is written."""

import torch

from terralink import models
from terralink.data.samples import Samples
from terralink.errors import RecipeError
from terralink.train.batches import Batches
from terralink.train.recipe import Recipe

_NO_SPREAD = "Expected more than 1 value per channel"


def check_start(batches: Batches) -> None:
    """Draw a sample of each source, and see whether the network takes a batch of the recipe's.

    Raises ``InputError`` for chips that cannot be augmented, ``RecipeError`` for a batch of one.
    """
    recipe = batches.recipe
    for source in batches.sources:
        Samples([source], [1.0], recipe.augment, 0, pixel_size_m=recipe.rescale_to_m)[0]
    check_norms(recipe, recipe.trainer.batch_size // batches.processes)


def check_norms(recipe: Recipe, batch_size: int) -> None:
    """Raise ``RecipeError`` where a batch norm would see one value, whose spread is nothing.

    So it is where a network pools a sample to 1 x 1 pixel, and a batch is one sample.
    """
    if batch_size > 1 or recipe.trainer.freeze_norms:
        return
    wanted, side_px = recipe.model, recipe.augment.crop_px
    with torch.device("meta"):  # shapes alone, no memory and no arithmetic
        network = models.create_model(
            wanted.name, num_classes=len(wanted.classes), in_channels=len(wanted.bands)
        ).train()
        try:
            network(torch.zeros(batch_size, len(wanted.bands), side_px, side_px))
        except ValueError as error:
            if _NO_SPREAD not in str(error):
                raise
            raise RecipeError(
                f"{wanted.name} pools a sample of {side_px} px to 1 x 1, and a batch norm has no "
                "spread over one value: a batch of 2 or more for each process (trainer.batch_size),"
                " or trainer.freeze_norms: true"
            ) from error
