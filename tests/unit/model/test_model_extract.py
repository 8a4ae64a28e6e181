"""A domain's sub-model computes what the whole model computes on that domain, to the bit."""

from __future__ import annotations

import pytest
import torch

from stages.model.config import RouterConfig
from stages.model.decoder import Decoder
from stages.model.extract import extract_weights, sub_model_shape
from stages.model.initial import build_model
from stages.model.parameters import num_parameters, num_sub_model_parameters
from tests.unit.model.batches import EOD, PAD, batch_of, small_shape, split_table_of, table_of

ROWS = [[5, 9, 3, 7, EOD, 8, 2], [8, 2, 11, 6, 4, EOD, PAD]]
LEARNED = {"num_learned_layers": 1, "router": RouterConfig(num_experts=4, top_k=2, d_expert=16)}


def _sub_model(whole: Decoder, domain: int) -> Decoder:
    with torch.device("meta"):
        model = Decoder(sub_model_shape(whole.shape))
    model.load_state_dict(extract_weights(whole.state_dict(), whole.shape, domain), assign=True)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, LEARNED], ids=["rre", "rre_and_learned"])
@pytest.mark.parametrize("domain", [0, 1, 2])
@pytest.mark.parametrize("splits", [False, True])
def test_logits_are_the_same_to_the_bit(splits, domain, options, dtype):
    shape = small_shape(num_domains=3, **options)
    whole = build_model(shape, 0).to(dtype)
    table = split_table_of(shape, [[8, 2], [], [4, EOD, 6]]) if splits else table_of(shape)
    model = _sub_model(whole, domain)
    assert sum(p.numel() for p in model.parameters()) == num_parameters(model.shape) == num_sub_model_parameters(shape)
    small = batch_of(model.shape, ROWS, [0, 0], table.of_domain(domain))
    assert torch.equal(model(small), whole(batch_of(shape, ROWS, [domain, domain], table)))
    other = (domain + 1) % 3
    assert not torch.equal(model(small), whole(batch_of(shape, ROWS, [other, other], table)))


def test_a_dense_model_has_no_sub_model():
    with pytest.raises(ValueError, match=r"num_rre_layers \(0\)"):
        sub_model_shape(small_shape(num_rre_layers=0))


@pytest.mark.parametrize("domain", [-1, 2])
def test_a_domain_that_is_not_there_is_refused(domain):
    shape = small_shape(num_domains=2)
    with pytest.raises(ValueError, match=r"must lie in \[0, num_domains \(2\)\)"):
        extract_weights({}, shape, domain)
