"""Samples: each a function of (seed, index), whatever reads the chips and in what order."""

from dataclasses import dataclass, field

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader  # noqa: E402

from terralink.data.augment import Augment  # noqa: E402
from terralink.data.chips import Chip  # noqa: E402
from terralink.errors import InputError  # noqa: E402
from terralink.train.datamodule import EpochSampler, TrainDataset, ValDataset  # noqa: E402

pytestmark = pytest.mark.torch

AUGMENT = Augment(crop_px=16, scale=(0.5, 2), rotate_deg=(-45, 45), hue_deg=(-30, 30), noise=4)


def chip(seed: int, *, pixel_size_m: float | None = None) -> Chip:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (3, 40, 30), dtype=np.uint8)
    return Chip(image, (image[0] > 99).astype(np.uint8), f"chip {seed}", pixel_size_m)


@dataclass
class OnDisk:
    """Chips that are made when they are asked for, and a list of those that were."""

    count: int
    read: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Chip:
        self.read.append(index)
        return chip(index)


def test_chips_on_disk_and_in_memory_give_the_same_samples() -> None:
    source = OnDisk(5)
    lazily = TrainDataset([source], [1.0], AUGMENT, seed=3)
    kept = TrainDataset([[chip(index) for index in range(5)]], [1.0], AUGMENT, seed=3)
    assert source.read == []
    for index in (4, 0, 17, 0):
        assert torch.equal(lazily[index]["image"], kept[index]["image"])
        assert torch.equal(lazily[index]["mask"], kept[index]["mask"])
    assert len(source.read) == 8  # one chip a sample, no more


def test_a_sample_depends_on_seed_and_index_alone() -> None:
    samples = TrainDataset([OnDisk(5), OnDisk(3)], [1, 2], AUGMENT, seed=0)
    again = TrainDataset([OnDisk(5), OnDisk(3)], [1, 2], AUGMENT, seed=0)
    other = TrainDataset([OnDisk(5), OnDisk(3)], [1, 2], AUGMENT, seed=1)
    forward = [samples[index]["image"] for index in range(6)]
    backward = [again[index]["image"] for index in reversed(range(6))]
    assert all(map(torch.equal, forward, reversed(backward)))
    assert not any(torch.equal(forward[index], other[index]["image"]) for index in range(6))


def test_workers_bring_the_same_batches() -> None:
    samples = TrainDataset([OnDisk(5)], [1.0], AUGMENT, seed=0)
    sampler = EpochSampler(6, lambda: 10)
    alone = DataLoader(samples, batch_size=3, sampler=sampler)
    helped = DataLoader(samples, batch_size=3, sampler=sampler, num_workers=1)
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert one["name"] == other["name"]


def test_sources_are_drawn_by_their_weights() -> None:
    first, second = OnDisk(1), OnDisk(1)
    samples = TrainDataset([first, second], [1, 3], Augment(crop_px=4), seed=0)
    for index in range(400):
        samples[index]
    assert len(second.read) == pytest.approx(300, abs=30)


@pytest.mark.parametrize(("pixel_size_m", "rows"), [(0.5, 32), (1.0, 16), (2.0, 8), (None, 16)])
def test_chips_of_any_ground_size_are_scaled_to_that_of_the_recipe(
    pixel_size_m: float | None, rows: int
) -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None] * 3, (64, 64))
    drawn = Chip(np.repeat(ramp[None], 3, axis=0), ramp, "ramp", pixel_size_m)
    still = Augment(crop_px=16, dihedral=False)
    image = TrainDataset([[drawn]], [1.0], still, seed=0, pixel_size_m=1.0)[0]["image"]
    seen = (image[0, -1, 0] - image[0, 0, 0]).item() / 3 * 16 / 15  # rows of the chip
    assert seen == pytest.approx(rows, abs=0.2)


def test_a_recipe_without_a_ground_size_takes_chips_as_they_are() -> None:
    known = TrainDataset([[chip(0, pixel_size_m=0.3)]], [1.0], AUGMENT, seed=0)
    unknown = TrainDataset([[chip(0)]], [1.0], AUGMENT, seed=0, pixel_size_m=1.0)
    assert torch.equal(known[0]["image"], unknown[0]["image"])


def test_an_empty_source_and_a_missing_weight_are_refused() -> None:
    with pytest.raises(InputError, match="an empty split"):
        TrainDataset([OnDisk(0)], [1.0], AUGMENT, seed=0)
    with pytest.raises(InputError, match="a weight for each source, got 1 for 2"):
        TrainDataset([OnDisk(1), OnDisk(1)], [1.0], AUGMENT, seed=0)


def test_an_epoch_goes_on_where_the_samples_stopped() -> None:
    assert list(EpochSampler(3, lambda: 7)) == [7, 8, 9]


def test_whole_chips_are_as_they_were_read() -> None:
    whole = ValDataset([chip(1)])[0]
    np.testing.assert_array_equal(whole["image"], chip(1).image)
    np.testing.assert_array_equal(whole["mask"], chip(1).mask)
