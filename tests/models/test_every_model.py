"""What holds for every network of the registry."""

import pytest

torch = pytest.importorskip("torch")
from terralink import models  # noqa: E402

pytestmark = pytest.mark.torch

# Members that take any encoder are tried on their default one.
every_model = pytest.mark.parametrize("name", models.list_models())


@every_model
def test_logits_have_the_size_of_the_image_whatever_it_is(name: str) -> None:
    network = models.create_model(name, in_channels=4, num_classes=3).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 4, 45, 83)).shape == (1, 3, 45, 83)


@every_model
def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = models.create_model(name)
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert [key for key, value in network.named_parameters() if value.grad is None] == []


@every_model
def test_evaluation_is_deterministic(name: str) -> None:
    network = models.create_model(name).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(image), network(image))


@every_model
def test_it_has_a_line_that_says_what_it_is(name: str) -> None:
    assert models.describe(name).endswith(".")
