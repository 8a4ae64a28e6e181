"""What the first worker writes down of every step: the line of ``metrics.jsonl``, TensorBoard events, and a word for
people every few seconds.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from data_specs.errors import StageError
from stages.model.cost import flops_per_token
from stages.pretrain.job import TrainingJob
from stages.pretrain.loader import StepRows
from stages.pretrain.metrics import MetricsWriter, last_lines
from stages.pretrain.ranks import Ranks
from stages.pretrain.spikes import SpikeDetector, describe_spike, spike_sentence
from stages.pretrain.step import StepResult
from stages.pretrain.tensorboard import EventWriter
from stages.pretrain.utilisation import peak_flops, peak_memory_bytes

_SAY_SECONDS = 10.0
_log = logging.getLogger(__name__)


class Record:
    """Opened after ``step``; what an earlier, killed run wrote of later steps is cut off."""

    def __init__(self, job: TrainingJob, step: int, ranks: Ranks) -> None:
        config = job.config
        self._job, self._device = job, ranks.device
        self._metrics = MetricsWriter(job.folder, step)
        self._events = EventWriter(job.folder, step) if config.tensorboard else None
        earlier = last_lines(job.folder, config.spike_window_steps)
        self._spikes = SpikeDetector(config.spike_window_steps, config.spike_score, earlier)
        self._peak = peak_flops(config, ranks.device) * ranks.world_size
        self._said = time.monotonic()

    def write(
        self,
        rows: StepRows,
        result: StepResult,
        forecast_LE: npt.NDArray[np.int64],
        seconds: dict[str, float],
        step_seconds: float,
    ) -> None:
        """Add a step; ``seconds`` are its parts. Raises :class:`StageError` when an expert was not given what plan and
        table foretell."""
        line = self._line(rows, result, forecast_LE, seconds, step_seconds)
        found = self._spikes.look(line["loss"], line["loss_by_domain"])
        if found:
            worst = result.row_loss_B, result.row_targets_B
            line["spikes"] = [describe_spike(spike, self._job.plan, rows.step, *worst) for spike in found]
        self._metrics.write(line)
        if self._events is not None:
            self._events.write(line)
        self._say(line)
        check_load(rows.step, result.load_LE, forecast_LE)

    def sync(self) -> None:
        """Put all lines on disk."""
        self._metrics.sync()
        if self._events is not None:
            self._events.sync()

    def close(self) -> None:
        self._metrics.close()
        if self._events is not None:
            self._events.close()

    def _line(
        self,
        rows: StepRows,
        result: StepResult,
        forecast_LE: npt.NDArray[np.int64],
        seconds: dict[str, float],
        step_seconds: float,
    ) -> dict[str, Any]:
        """Losses are means in nats per counted target."""
        job = self._job
        num_targets = int(result.targets_G.sum())
        fed = [index for index, targets in enumerate(result.targets_G) if targets]
        num_tokens = job.plan.batch_rows_of_step(rows.step - 1) * job.plan.context_length
        row_tokens = job.plan.context_length // job.plan.cuts_of_step(rows.step - 1)
        learned = {"learned_load": result.learned_load_LE.tolist(), "balance": result.balance_L.tolist()}
        flops = flops_per_token(job.shape, row_tokens) * num_tokens
        return {
            "step": rows.step,
            "loss": float(result.loss_G.sum()) / max(1, num_targets),
            "loss_by_domain": {job.domains[i]: float(result.loss_G[i]) / int(result.targets_G[i]) for i in fed},
            "targets_by_domain": {job.domains[i]: int(result.targets_G[i]) for i in fed},
            "rows_by_component": {
                component.name: int(count)
                for component, count in zip(job.plan.components, rows.rows_by_component, strict=True)
                if count
            },
            "num_tokens": num_tokens,
            "learning_rate": result.learning_rate,
            "gradient_norm": result.gradient_norm,
            "expert_load": result.load_LE.tolist(),
            "expert_load_forecast": forecast_LE.tolist(),
            **(learned if job.config.model.num_learned_layers else {}),
            "tokens_per_second": round(num_tokens / step_seconds, 1),
            "mfu": round(flops / (step_seconds * self._peak), 6),
            "peak_memory_bytes": peak_memory_bytes(self._device),
            "step_seconds": round(step_seconds, 6),
            "seconds": {part: round(value, 6) for part, value in seconds.items()},
        }

    def _say(self, line: dict[str, Any]) -> None:
        for spike in line.get("spikes", []):
            _log.info("%s", spike_sentence(line["step"], spike))
        if time.monotonic() - self._said >= _SAY_SECONDS:
            self._said = time.monotonic()
            _log.info(
                "step %d of %d: loss %.4f, %.0f tokens/s, MFU %.1f %%",
                line["step"], self._job.config.num_steps, line["loss"], line["tokens_per_second"], 100 * line["mfu"],
            )  # fmt: skip


def check_load(step: int, counted_LE: npt.NDArray[np.int64], forecast_LE: npt.NDArray[np.int64]) -> None:
    """Integers must be equal: the forecast comes from the plan, the count from what the experts were given."""
    if not np.array_equal(counted_LE, forecast_LE):
        layer, expert = (int(i) for i in np.argwhere(counted_LE != forecast_LE)[0])
        raise StageError(
            f"step {step}: expert {expert} of RRE layer {layer} was given {counted_LE[layer, expert]} tokens, plan and "
            f"routing table foretell {forecast_LE[layer, expert]}; rows were lost, repeated or routed wrongly"
        )
