"""A trained network as one ONNX file that takes raw levels and gives probabilities.

Input ``image`` float32 (N, bands, H, W) in 0 to 255, H and W multiples of 32; output ``prob``
float32 (N, classes, H, W). Normalisation and sigmoid (softmax for several classes) are inside.
"""

import os
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from terralink.atomic_write import write_atomically
from terralink.model_card import Metadata
from terralink.models.antialias import fused

_OPSET = 18
_MULTIPLE = 32  # the coarsest stride


class Probabilities(nn.Module):
    """Logits to probabilities: a sigmoid for one class, a softmax over several."""

    def __init__(self, network: nn.Module, *, classes: int):
        super().__init__()
        self.network = network
        self.last: nn.Module = nn.Sigmoid() if classes == 1 else nn.Softmax(dim=1)

    def forward(self, image: Tensor) -> Tensor:
        prob: Tensor = self.last(self.network(image))
        return prob


def export(network: nn.Module, path: str | os.PathLike[str], metadata: Metadata) -> None:
    """Write ``network`` (raw levels -> logits) with its card; batch, height and width are free."""
    whole = Probabilities(fused(network), classes=len(metadata.classes)).eval()
    image = torch.zeros(2, len(metadata.bands), 2 * _MULTIPLE, 4 * _MULTIPLE)
    rows, cols = torch.export.Dim("rows", min=1, max=512), torch.export.Dim("cols", min=1, max=512)
    free = {0: torch.export.Dim("batch"), 2: _MULTIPLE * rows, 3: _MULTIPLE * cols}
    with write_atomically(path) as part, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        torch.onnx.export(
            whole,
            (image,),
            part,
            input_names=["image"],
            output_names=["prob"],
            dynamic_shapes={"image": free},
            opset_version=_OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
        tell(part, metadata)


def tell(path: Path, metadata: Metadata) -> None:
    """Write the card into the ONNX file at ``path``, in place of an older one."""
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, metadata.to_props())
    onnx.save(model, path)
