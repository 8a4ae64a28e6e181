"""`kaitian trace` on the command line: options and the choice of a direction."""

from __future__ import annotations

import argparse

from data_specs.errors import SpecError

SUMMARY = "a training token back to its raw record, or a document forward to its steps"
DETAILS = """\
Backward: the rows of a step, the documents of a row, or one token of it with document, source card, edits, decisions
and the raw record, read again from the dump. Forward: the steps that saw a document, or will see it.

  kaitian trace --step 40                        components and rows of the 40th update
  kaitian trace --step 40 --row 3 --token 17     the token and everything behind it
  kaitian trace --doc https://example.org/page   was it seen, and when; the first look-up makes an index
  kaitian trace --step 40 --of last:pretrain     from a checkpoint: RUN:NODE or the beginning of a fingerprint

Steps are counted from 1, as in checkpoints and metrics; rows of a step and tokens of a row from 0."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    command.add_argument("--step", type=int, metavar="S", help="update, counted from 1")
    command.add_argument("--row", type=int, metavar="I", help="row of the step's global batch")
    command.add_argument("--token", type=int, metavar="K", help="id of the row, 0 .. context_length")
    command.add_argument("--doc", metavar="ID|URL", help="doc_id (32 hex digits) or exact URL")
    command.add_argument("--until", type=int, metavar="N", help="with --doc: look at the first N steps")
    command.add_argument("--of", default="last", metavar="WHAT", help="run, or checkpoint or plan (default: last run)")


def trace(options: argparse.Namespace) -> None:
    """Check what was asked for and print it."""
    from pipelines.commands import make_console
    from pipelines.lineage.ancestry import open_ancestry
    from pipelines.lineage.trace import print_forward, trace_step
    from pipelines.store.store import Store

    if (options.step is None) == (options.doc is None):
        raise SpecError("trace: give --step S (back to the raw record) or --doc ID|URL (forward to the steps)")
    if options.doc is not None and (options.row is not None or options.token is not None):
        raise SpecError("trace: --row and --token go with --step")
    if options.token is not None and options.row is None:
        raise SpecError("trace: --token K is a token of a row; give --row I too")
    ancestry = open_ancestry(Store.existing(options.store), options.of)
    console = make_console()
    if options.doc is not None:
        print_forward(console, ancestry, options.doc, options.until)
    else:
        trace_step(console, ancestry, options.step, options.row, options.token)
