"""The command line: `kaitian VERB [overrides]`. Parses, calls the verb, turns our errors into one message."""

from __future__ import annotations

import argparse
import atexit
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from data_specs.errors import KaitianError
from pipelines.forecast import command as forecasts
from pipelines.lineage import command as lineage
from pipelines.mixture import command as mixtures
from pipelines.tune import command as tuning
from stages.pretrain.config import MIXES

_DESCRIPTION = """\
Kaitian (开天) turns raw text dumps into a trained sparse language model. One composition describes the whole line;
every stage can be planned, run, rerun and explained alone."""

_EPILOG = """\
examples
  kaitian demo                                         the whole line on text found on this machine, in minutes
  kaitian plan pipeline=corpus                         what would run, what is reused, and why
  kaitian run  pipeline=corpus data_root=/dumps        run it; finished work is never done twice
  kaitian run  pipeline=corpus nodes.filter.config.rules.zh.min_characters.limit=200
                                                       change one limit: only what depends on it runs
  kaitian run  pipeline=corpus targets=[dedup]         just one node and what it needs
  kaitian rerun filter pipeline=corpus                 force a node and its dependants, compare with the old output
  kaitian show last                                    the newest run: nodes, ledger, dropped documents
  kaitian explain https://example.org/page             every decision taken on one document
  kaitian mixture mixture=pangu_alpha_200b             a published mixture as a table, at any scale or over your pools
  kaitian trace --step 40 --row 3 --token 17           a training token back to its raw record
  kaitian gc                                           what nothing refers to any more

Overrides are Hydra's: key=value for values, group=choice for files under conf/ (pipeline=, cluster=, experiment=,
model@nodes.pretrain.config.model=...). `kaitian VERB --help` has more."""


def build_parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    parser = argparse.ArgumentParser(
        prog="kaitian", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, summary: str, details: str) -> argparse.ArgumentParser:
        return verbs.add_parser(
            name, help=summary, description=details, formatter_class=argparse.RawDescriptionHelpFormatter
        )

    def composed(name: str, summary: str, details: str) -> argparse.ArgumentParser:
        command = verb(name, summary, details)
        command.add_argument("overrides", nargs="*", metavar="key=value", help="Hydra overrides, e.g. pipeline=corpus")
        command.add_argument(
            "--config-dir", action="append", default=[], type=Path, metavar="DIR",
            help="a folder of your own with pipeline/, rules/, model/ ... files; may be given several times",
        )  # fmt: skip
        return command

    composed(
        "run",
        "run a pipeline; finished work is reused",
        "Run every node of a pipeline that is not committed yet, show progress, and end with a funnel and a report.\n\n"
        "  kaitian run pipeline=demo data_root=demo\n"
        "  kaitian run pipeline=corpus store=/big/store cluster=ray cluster.address=auto\n"
        "  kaitian run pipeline=corpus targets=[filter]        just what `filter` needs\n"
        "  kaitian run pipeline=demo nodes.pretrain.config.num_steps=400   continue training",
    )
    composed(
        "plan",
        "what would run, what is reused, and why",
        "Print each node with its fingerprint and fate. Nothing runs, nothing is written but cached file digests.\n\n"
        "  kaitian plan pipeline=demo nodes.filter.config.rules.zh.min_characters.limit=200",
    )
    preview = composed(
        "preview",
        "what changed rules or thresholds would keep and drop, from what a run stored",
        "Judge the documents of the newest run of a pipeline by other rules: signals are stored, nothing is scanned.\n"
        "With --node of a near-duplicate node: decide its stored similarities again at a higher threshold, for\n"
        "another source_priority or keeper_order, and show the pairs beside the threshold side by side.\n"
        "Give the words of `kaitian run`; run them afterwards, and only what depends on them is done.\n\n"
        "  kaitian preview pipeline=corpus nodes.filter.config.rules.zh.min_characters.limit=200\n"
        "  kaitian preview pipeline=corpus rules@nodes.filter.config.rules.zh=fineweb2_zh --html preview.html\n"
        "  kaitian preview pipeline=corpus nodes.dedup.config.threshold=0.8 --node dedup",
    )
    preview.add_argument(
        "--node", metavar="NODE", help="which filter, where the pipeline has several; or a near-duplicate node"
    )
    preview.add_argument("--run", metavar="RUN", help="run id (default: the newest run of the pipeline)")
    preview.add_argument("--html", type=Path, metavar="FILE", help="write the preview as a page, too")
    rerun = composed(
        "rerun",
        "force one node and its dependants, compare with the old output",
        "Build a committed node again beside the old output. Equal logical digests prove it repeatable; a difference\n"
        "is said loudly and the old output is kept aside.\n\n  kaitian rerun filter pipeline=demo",
    )
    rerun.add_argument("--only", action="store_true", help="compare just this node, not its dependants")

    show = verb(
        "show",
        "a run or an artifact: manifest, ledger, samples",
        "WHAT is `last`, a run id, `RUN:NODE` (e.g. last:filter), or the beginning of a fingerprint.\n\n"
        "  kaitian show last\n  kaitian show last:filter --samples 5\n  kaitian show 3f9c02",
    )
    show.add_argument("what", metavar="WHAT", nargs="?", default="last")
    show.add_argument("--samples", type=int, default=3, metavar="N", help="documents to show, per drop reason (3)")
    explain = verb(
        "explain",
        "every decision taken on one document",
        "Follow one document along the line of a run: where it came from, what was cut, who decided what, with which\n"
        "value and limit, and where its tokens went.\n\n"
        "  kaitian explain 00c1d2...  (doc_id, 32 hex digits)\n  kaitian explain https://example.org/page",
    )
    explain.add_argument("document", metavar="DOC_ID|URL")
    explain.add_argument("--run", default="last", metavar="RUN", help="run id (default: the newest)")
    sample = verb(
        "sample",
        "a page of documents to judge; its ticks train a classifier",
        "Draw a stratified sample (source, rule, decile of a signal) of what a filter kept and dropped, as one HTML\n"
        "page with keep and drop ticks. It saves them as JSON lines that `train_classifier` takes as labels.\n\n"
        "  kaitian sample last:filter --count 100 --html review.html\n"
        "  kaitian sample last:filter --decile spam_score",
    )
    sample.add_argument("what", metavar="WHAT", nargs="?", default="last:filter")
    sample.add_argument("--count", type=int, default=100, metavar="N", help="documents in all (100)")
    sample.add_argument("--decile", metavar="SIGNAL", help="stratify by the deciles of a stored signal or score, too")
    sample.add_argument("--seed", type=int, default=0, metavar="N", help="another number draws other documents (0)")
    sample.add_argument("--html", type=Path, default=Path("review.html"), metavar="FILE", help="the page (review.html)")
    tuning.add_options(composed("tune-classifier", tuning.SUMMARY, tuning.DETAILS))
    gc = verb(
        "gc",
        "show, then remove, what nothing refers to",
        "List artifacts that no run, pin or checkpoint refers to. Nothing is removed without --delete.",
    )
    gc.add_argument("--delete", action="store_true", help="remove what is listed")
    gc.add_argument(
        "--keep-runs", type=int, metavar="N", help="forget all but the newest N runs of each pipeline first"
    )
    pin = verb(
        "pin",
        "give an artifact a name that edges can use (pin:NAME)",
        "Tokenizers and routing tables are pinned: appending data must never change them.\n\n"
        "  kaitian pin zh_en_16k last:tokenizer",
    )
    pin.add_argument("name", metavar="NAME")
    pin.add_argument("what", metavar="WHAT")
    trace = verb("trace", lineage.SUMMARY, lineage.DETAILS)
    lineage.add_options(trace)
    mixture = verb("mixture", mixtures.SUMMARY, mixtures.DETAILS)
    mixtures.add_options(mixture)
    forecast = verb("forecast", forecasts.SUMMARY, forecasts.DETAILS)
    forecasts.add_options(forecast)
    extract = verb(
        "extract",
        "cut the model of one domain out of a trained one",
        "Write everything shared and the domain's own experts into a new folder; its logits on that domain's text are\n"
        "those of the whole model to the bit. CHECKPOINT and ROUTING are named as in `kaitian show`.\n\n"
        "  kaitian extract last:pretrain last:routing zh --out zh_model",
    )
    extract.add_argument("checkpoint", metavar="CHECKPOINT")
    extract.add_argument("routing", metavar="ROUTING")
    extract.add_argument("domain", metavar="DOMAIN")
    extract.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    for command in (show, explain, sample, gc, pin, trace, mixture, forecast, extract):
        command.add_argument("--store", type=Path, default=Path("store"), metavar="DIR", help="the store (./store)")
    composed(
        "model-size",
        "parameters, work per token and memory of a model, before anything is built",
        "Count a model from conf/model/NAME.yaml and overrides of its fields. Of its surroundings: vocab_size,\n"
        "num_domains; of its layout: num_workers, expert_parallel, pipeline_parallel, pipeline_rounds, step_rows,\n"
        "is_sharded, micro_batch_rows, precision, recompute (none, alternate, all).\n\n"
        "  kaitian model-size model=pangu_alpha_13b\n"
        "  kaitian model-size model=pangu_sigma_1t num_domains=40 num_workers=512 expert_parallel=64 is_sharded=true\n"
        "  kaitian model-size model=pangu_alpha_200b num_workers=16 pipeline_parallel=16\n\n"
        f"What goes together in training (shard is is_sharded here):\n\n{MIXES}",
    )
    demo = composed(
        "demo",
        "raw dump -> corpus -> trained model -> report, in minutes",
        "Write a seeded demo dump (WARC, JSONL) beside real text found on this machine, then run pipeline=demo.\n\n"
        "  kaitian demo\n  kaitian demo --folder /tmp/try nodes.pretrain.config.num_steps=50",
    )
    demo.add_argument(
        "--folder", type=Path, default=Path("demo"), metavar="DIR", help="where dump and store go (./demo)"
    )
    return parser


def check_one_place() -> None:
    """Our packages have common names: refuse to start when another wheel's folder shadows one of them."""
    import conf
    import data_specs
    import pipelines
    import stages

    packages = (conf, data_specs, pipelines, stages)
    places = {package.__name__: str(Path(package.__path__[0]).resolve().parent) for package in packages}
    if len(set(places.values())) > 1:
        raise KaitianError(
            "the packages of Kaitian come from different places; install it into an environment of its own: "
            + ", ".join(f"{name} from {place}" for name, place in sorted(places.items()))
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the console script; returns the exit status."""
    atexit.register(gc.freeze)  # or the interpreter walks over every object twice before it goes: 0.6 s
    words = sys.argv[1:] if arguments is None else arguments
    options = build_parser().parse_args(mixtures.redirect(words))
    try:
        check_one_place()
        from pipelines import commands
        from pipelines.execution.lean_imports import leave_pandas_out

        leave_pandas_out()
        return int(getattr(commands, options.verb.replace("-", "_"))(options) or 0)
    except KaitianError as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", []))
        print(f"kaitian {options.verb}: {type(error).__name__}: {error}{notes}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"kaitian {options.verb}: interrupted; give the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
