"""What holds for every network of the registry, at small widths and sizes."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from terralink import models  # noqa: E402
from terralink.errors import ModelError  # noqa: E402
from terralink.model_card import Metadata  # noqa: E402
from terralink.models.antialias import fuse_blur  # noqa: E402
from terralink.models.network import DLINKNET, NormalizedNetwork  # noqa: E402

pytestmark = pytest.mark.torch

Make = Callable[..., Any]

# Members that take any encoder are tried on their default one.
every_model = pytest.mark.parametrize("name", models.list_models())

# One of each way to be hard to export: pooled parts of free sizes, padding by a multiple that the
# file cannot know, stages that keep the size, mirrored bands, blurs that go into the kernel. The
# shipped exporter takes 5 to 10 s a network, so the others go through the older one.
ONE_OF_EACH = ["pplinknet34_psp64", "unet7", "linknet_lite0_antialiased"]


@every_model
def test_logits_have_the_size_of_the_image_whatever_it_is(name: str, small: Make) -> None:
    network = small(name, in_channels=4, num_classes=3).eval()
    with torch.no_grad():
        for height, width in [(45, 83), (1, 1), (128, 64)]:
            assert network(torch.rand(1, 4, height, width)).shape == (1, 3, height, width)


@every_model
def test_an_image_with_other_bands_is_refused(name: str, small: Make) -> None:
    with pytest.raises(ModelError, match=r"takes 1 bands, .* has 3"):
        small(name, in_channels=1)(torch.rand(1, 3, 64, 64))


@every_model
def test_every_parameter_gets_a_gradient(name: str, small: Make) -> None:
    network = small(name, in_channels=4, num_classes=3)
    network(torch.rand(2, 4, 64, 64)).square().mean().backward()
    assert [key for key, value in network.named_parameters() if value.grad is None] == []


@every_model
def test_evaluation_is_deterministic(name: str, small: Make) -> None:
    network = small(name).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image), network(image))


@every_model
def test_it_goes_through_a_folder(name: str, small: Make, tmp_path: Path) -> None:
    network = small(name, in_channels=2, num_classes=3).eval()
    network.save_pretrained(tmp_path)
    again = models.from_pretrained(tmp_path)
    image = torch.rand(1, 2, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image), again(image))
    assert json.loads((tmp_path / "config.json").read_text())["network"]["name"] == name
    assert name in (tmp_path / "README.md").read_text()


@every_model
def test_it_has_a_line_that_says_what_it_is(name: str) -> None:
    assert models.describe(name).endswith(".")


def runs_alike(path: Path, network: Any, image: Any) -> None:
    """OpenVINO and ONNX Runtime give what torch gives, within 1e-3 of its spread."""
    import onnxruntime

    from terralink.inference.backends.openvino_backend import core

    with torch.no_grad():
        wanted = network(image).numpy()
    session = onnxruntime.InferenceSession(path)
    (from_onnxruntime,) = session.run(None, {"image": image.numpy()})
    compiled = core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for came in (from_onnxruntime, compiled(image.numpy())[0]):
        np.testing.assert_allclose(came, wanted, rtol=1e-3, atol=1e-3 * max(1, wanted.std()))


@every_model
def test_it_runs_in_openvino_and_onnx_runtime(name: str, small: Make, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = small(name, num_classes=3).eval()
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the older exporter, about its age
        torch.onnx.export(
            fuse_blur(network),
            (torch.rand(2, 3, 128, 128),),
            path,
            input_names=["image"],
            dynamic_axes={"image": {0: "batch"}},
            dynamo=False,
        )
    runs_alike(path, network, torch.rand(3, 3, 128, 128))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_file_we_ship_takes_any_batch_and_size(name: str, small: Make, tmp_path: Path) -> None:
    from terralink.export.onnx_file import Probabilities, export_onnx

    torch.manual_seed(0)
    classes = ("a", "b", "c")
    network = NormalizedNetwork(small(name, num_classes=3), normalization=DLINKNET).eval()
    path = tmp_path / "network.onnx"
    export_onnx(network, path, Metadata(name=name, classes=classes))
    runs_alike(path, Probabilities(network, classes=3), 255 * torch.rand(3, 3, 96, 160))


def test_one_member_compiles(small: Make) -> None:
    network = small("dlinknet34").eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler, about the machine
        compiled = torch.compile(network, backend="aot_eager")
        torch.testing.assert_close(compiled(image), network(image), rtol=1e-3, atol=1e-4)
