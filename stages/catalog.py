"""The table of stages: key in YAML -> class. The only registry; modules load when a pipeline names them."""

from __future__ import annotations

import importlib
from typing import Any

from data_specs.errors import SpecError, nearest
from stages.base import Stage

#: key -> "module:Class"
CATALOG: dict[str, str] = {
    "ingest": "stages.ingest.stage:Ingest",
    "clean": "stages.clean.stage:Clean",
    "cut_lines": "stages.filter.line_stage:CutLines",
    "signals": "stages.signals.stage:Signals",
    "code_signals": "stages.signals.code_stage:CodeSignals",
    "pair_signals": "stages.signals.pair_stage:PairSignals",
    "text_signals": "stages.signals.text_stage:TextSignals",
    "match_lists": "stages.signals.list_stage:MatchLists",
    "identify_language": "stages.signals.language_stage:IdentifyLanguage",
    "train_classifier": "stages.classify.train_stage:TrainClassifier",
    "classify": "stages.classify.classify_stage:Classify",
    "filter": "stages.filter.stage:Filter",
    "dedup_exact": "stages.dedup.exact_stage:DedupExact",
    "dedup_paragraphs": "stages.dedup.paragraph_stage:DedupParagraphs",
    "dedup_minhash": "stages.dedup.minhash_stage:DedupMinHash",
    "decontaminate": "stages.decontaminate.stage:Decontaminate",
    "split": "stages.split.stage:Split",
    "tokenizer": "stages.tokenize.tokenizer_stage:TrainTokenizer",
    "tokenize": "stages.tokenize.stage:Tokenize",
    "import_tokenizer": "stages.tokenize.import_stage:ImportTokenizer",
    "import_tokens": "stages.interchange.import_stage:ImportTokens",
    "publish": "stages.interchange.corpus_export:Publish",
    "publish_rows": "stages.interchange.row_export:PublishRows",
    "publish_tokens": "stages.interchange.token_export:PublishTokens",
    "pack": "stages.pack.stage:Pack",
    "mix": "stages.mix.stage:Mix",
    "routing": "stages.routing.stage:Routing",
    "pretrain": "stages.pretrain.stage:Pretrain",
    "evaluate": "stages.evaluate.stage:Evaluate",
}


def stage_class(key: str) -> type[Stage[Any]]:
    """Class of a stage by its key; an unknown key raises with the nearest known one."""
    if key not in CATALOG:
        raise SpecError(f"unknown stage {key!r}.{nearest(key, CATALOG)}")
    module, name = CATALOG[key].split(":")
    loaded: type[Stage[Any]] = getattr(importlib.import_module(module), name)
    return loaded
