"""Run by a Python that has megatron-core: read pairs with its IndexedDataset, and write one with its builder.

python peer_megatron.py FOLDER_OF_PAIRS OUTPUT_PREFIX      prints {"version": ..., "pairs": {name: [[ids]]}} as JSON
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy
import torch
from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

#: What the builder writes: documents of one to three sentences, every other one with the end (id 0).
DOCUMENTS = [
    [
        [2 + (document * 7 + sentence * 3 + place) % 90 for place in range(1 + (document + sentence) % 5)]
        + ([0] if document % 2 and sentence == document % 3 else [])
        for sentence in range(1 + document % 3)
    ]
    for document in range(50)
]


def main() -> None:
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    pairs = {}
    for path in sorted(folder.glob("*.idx")):
        dataset = IndexedDataset(str(path.with_suffix("")), multimodal=False, mmap=True)
        pairs[path.stem] = [dataset[number].tolist() for number in range(len(dataset))]
        assert len(dataset.document_indices) == len(dataset) + 1
    output.parent.mkdir(parents=True, exist_ok=True)
    builder = IndexedDatasetBuilder(str(output.with_suffix(".bin")), dtype=numpy.uint16)
    for document in DOCUMENTS:
        flat = [number for sentence in document for number in sentence]
        builder.add_document(torch.tensor(flat), [len(sentence) for sentence in document])
    builder.finalize(str(output.with_suffix(".idx")))
    json.dump({"version": version("megatron-core"), "pairs": pairs, "documents": DOCUMENTS}, sys.stdout)


if __name__ == "__main__":
    main()
