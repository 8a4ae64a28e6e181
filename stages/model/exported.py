"""The files of an exported model in a ``checkpoints`` artifact: weights and card, named by the step they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_specs.errors import DataError
from data_specs.manifest import Artifact


def exported_files(checkpoint: Artifact) -> tuple[Path, dict[str, Any]]:
    """Path of the weights (safetensors) and the card; raises :class:`DataError` where the artifact has not one each."""
    files = {Path(shard.name).suffix: checkpoint.shard_path(shard) for shard in checkpoint.shards("model")}
    if sorted(files) != [".json", ".safetensors"]:
        raise DataError(f"{checkpoint.path}: expected weights and card in port 'model', found {sorted(files)}")
    return files[".safetensors"], dict(json.loads(files[".json"].read_text("utf-8")))
