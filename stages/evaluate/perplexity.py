"""Sum of cross-entropies over validation rows; the part of evaluation that runs torch.

Legend: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from data_specs.ledger import DROPPED, IN, KEPT
from data_specs.manifest import Artifact
from data_specs.token_store import PoolReader, row_layout, shorten_rows
from stages.base import UnitOutput, Work
from stages.evaluate.stage import EvaluateConfig
from stages.model.batch import MicroBatch, dispatch_tensors, to_device
from stages.model.config import ModelShape
from stages.model.decoder import Decoder
from stages.model.dispatch import plan_rows
from stages.model.exported import exported_files
from stages.model.loss import row_losses
from stages.model.products import products_in
from stages.model.routing_table import RoutingTable

_CPU = torch.device("cpu")


def make_measure(config: EvaluateConfig, checkpoint_path: Path, pools_path: Path, routing_path: Path) -> Work:
    """Work per component name: {loss_sum, num_targets, num_rows}. Loads the model once per worker."""
    checkpoint, pools, routing = (Artifact.open(path) for path in (checkpoint_path, pools_path, routing_path))
    model, domains = load_model(checkpoint)
    if config.precision == "bf16":
        model = model.to(torch.bfloat16)
    table = RoutingTable.open(routing, model.shape.config.experts_per_domain)
    reader = PoolReader.open(pools, "validation")
    num_cuts = reader.context_length // (config.context_length or reader.context_length)

    def work(component: str, out: UnitOutput) -> dict[str, Any]:
        domain = pools.facts["components"][component]["domain"]
        available = reader.num_rows(component)
        num_rows = available if config.max_rows is None else min(available, config.max_rows)
        out.ledger.add("row", component, domain, IN, available)
        out.ledger.add("row", component, domain, KEPT, num_rows)
        out.ledger.add("row", component, domain, DROPPED, available - num_rows, reason="max_rows")
        loss_sum, num_targets = 0.0, 0
        with torch.inference_mode(), _fixed_threads(config.num_threads), products_in(config.precision, _CPU):
            for start in range(0, num_rows, config.batch_rows):
                chosen = np.arange(start, min(num_rows, start + config.batch_rows))
                rows, counted = (
                    shorten_rows(reader.rows(component, chosen), num_cuts),
                    reader.counted(component, chosen),
                )
                if counted is not None:
                    counted = shorten_rows(counted, num_cuts)
                batch = make_batch(rows, domains.index(domain), reader, table, model.shape, counted)
                losses_B = row_losses(model(batch), batch.targets_BT, batch.valid_BT)
                loss_sum += sum(losses_B.tolist())
                num_targets += int(batch.valid_BT.sum())
        return {"loss_sum": loss_sum, "num_targets": num_targets, "num_rows": num_rows}

    return work


def load_model(checkpoint: Artifact) -> tuple[Decoder, list[str]]:
    """The exported model of a ``checkpoints`` artifact and the names of its domains in expert order."""
    weights, card = exported_files(checkpoint)
    with torch.device("meta"):
        model = Decoder(ModelShape.from_json(card["shape"]))
    model.load_state_dict(load_file(weights), assign=True)
    return model.eval(), card["domains"]


def make_batch(
    rows: np.ndarray,
    domain: int,
    reader: PoolReader,
    table: RoutingTable,
    shape: ModelShape,
    counted: np.ndarray | None = None,
) -> MicroBatch:
    """A micro-batch of rows of one domain; ``counted`` says which of their ids are targets, None that all are."""
    layout = row_layout(rows, reader.eod_id, reader.pad_id, counted)
    domains_B = np.full(len(rows), domain, dtype=np.int64)
    plans = plan_rows(table, layout, domains_B, shape.config.experts_per_domain)
    return MicroBatch(
        tokens_BT=to_device(layout.inputs_BL, _CPU),
        targets_BT=to_device(layout.targets_BL, _CPU),
        valid_BT=to_device(layout.loss_mask_BL, _CPU),
        positions_BT=to_device(layout.position_ids_BL, _CPU),
        segments_BT=to_device(layout.segment_ids_BL, _CPU),
        domains_B=to_device(domains_B, _CPU),
        dispatch=dispatch_tensors(plans, _CPU),
    )


@contextmanager
def _fixed_threads(num_threads: int) -> Iterator[None]:
    """A fixed number of threads, so that sums are the same on every worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
