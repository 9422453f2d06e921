"""Learning rates over time, against what the papers say of them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from terralink.train.schedule import (  # noqa: E402
    Constant,
    Cosine,
    MultiStep,
    Optimizer,
    Poly,
    ReloadAndDivide,
    ReloadAndDivideCallback,
    Schedule,
    Step,
)

pytestmark = pytest.mark.torch


def factors(schedule: Schedule, steps: int = 100, steps_per_epoch: int = 10) -> list[float]:
    return [
        schedule.factor(step, steps=steps, steps_per_epoch=steps_per_epoch) for step in range(steps)
    ]


def test_poly_goes_down_by_the_power_of_what_is_left() -> None:
    found = factors(Poly(kind="poly", power=0.9))
    assert found == pytest.approx([(1 - step / 100) ** 0.9 for step in range(100)])


def test_a_warm_up_rises_evenly_and_the_cosine_takes_what_is_left() -> None:
    found = factors(Cosine(kind="cosine", warmup_steps=20))
    assert found[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert found[20] == 1
    assert found[60] == pytest.approx(0.5)
    assert 0 < found[99] < 0.001


def test_halving_every_two_epochs() -> None:
    found = factors(Step(kind="step", epochs=2, gamma=0.5))
    assert [found[step] for step in (0, 19, 20, 39, 40, 99)] == [1, 1, 0.5, 0.5, 0.25, 0.0625]


def test_milestones_count_from_their_epoch_on() -> None:
    found = factors(MultiStep(kind="multistep", epochs=(3, 5)))
    assert [found[step] for step in (29, 30, 49, 50)] == pytest.approx([1, 0.1, 0.1, 0.01])


def test_a_constant_stays() -> None:
    assert set(factors(Constant(kind="constant"))) == {1.0}


@pytest.mark.parametrize(("kind", "method"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_weight_decay_spares_norms_and_biases(kind: Any, method: str) -> None:
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = Optimizer(kind=kind, weight_decay=0.1).build(layers.parameters())
    assert type(optimizer).__name__ == method
    sizes = {group["weight_decay"]: len(group["params"]) for group in optimizer.param_groups}
    assert sizes == {0.1: 1, 0.0: 3}


class Rates:
    """A network of one weight, in the hands of the callback."""

    def __init__(self, out: Path, config: ReloadAndDivide):
        self.network = torch.nn.Linear(1, 1, bias=False)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=1.0)
        schedule = SimpleNamespace(base_lrs=[1.0])
        self.trainer: Any = SimpleNamespace(
            is_global_zero=True,
            should_stop=False,
            optimizers=[self.optimizer],
            lr_scheduler_configs=[SimpleNamespace(scheduler=schedule)],
            strategy=SimpleNamespace(barrier=lambda: None),
        )
        self.schedule, self.plateau = schedule, ReloadAndDivideCallback(config, out)

    def epoch(self, loss: float) -> tuple[float, float]:
        """Rate and weight after an epoch of this loss, whose number the weight was given."""
        with torch.no_grad():
            self.network.weight.fill_(loss)
        self.trainer.callback_metrics = {"loss_epoch": loss}
        self.plateau.on_train_epoch_end(self.trainer, self.network)
        return self.optimizer.param_groups[0]["lr"], self.network.weight.item()


def test_the_fourth_worse_epoch_reloads_the_best_and_divides_and_the_seventh_ends(
    tmp_path: Path,
) -> None:
    run = Rates(tmp_path, ReloadAndDivide(kind="reload_and_divide"))
    found = [run.epoch(loss) for loss in (3.0, 2.0, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5)]
    assert [rate for rate, _ in found] == pytest.approx([1, 1, 1, 1, 1, 0.2, 0.04, 0.008])
    assert [weight for _, weight in found] == pytest.approx([3, 2, 2.5, 2.5, 2.5, 2, 2, 2])
    assert run.schedule.base_lrs == pytest.approx([0.008])
    assert not run.trainer.should_stop
    run.epoch(2.5)
    assert run.trainer.should_stop


def test_the_best_weights_are_the_result(tmp_path: Path) -> None:
    run = Rates(tmp_path, ReloadAndDivide(kind="reload_and_divide"))
    for loss in (3.0, 2.0, 2.5):
        run.epoch(loss)
    run.plateau.on_train_end(run.trainer, run.network)
    assert run.network.weight.item() == 2


def test_a_rate_under_the_least_ends_the_run(tmp_path: Path) -> None:
    run = Rates(tmp_path, ReloadAndDivide(kind="reload_and_divide", min_learning_rate=0.5))
    for loss in (1.0, 2.0, 2.0, 2.0, 2.0):
        run.epoch(loss)
    assert not run.trainer.should_stop
    run.epoch(2.0)  # the rate is 0.2 by now
    assert run.trainer.should_stop


def test_a_resumed_plateau_counts_on(tmp_path: Path) -> None:
    config = ReloadAndDivide(kind="reload_and_divide")
    first, second = Rates(tmp_path, config), Rates(tmp_path, config)
    for loss in (1.0, 2.0, 2.0):
        first.epoch(loss)
    second.plateau.load_state_dict(first.plateau.state_dict())
    assert [second.epoch(2.0)[0], second.epoch(2.0)[0]] == [1.0, 0.2]
