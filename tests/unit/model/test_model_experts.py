"""Grouped products against a loop over experts, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from stages.model import experts as experts_module
from stages.model import grouped as grouped_module
from stages.model.batch import dispatch_tensors
from stages.model.dispatch import plan_dispatch
from stages.model.embedding import Table
from stages.model.experts import RoutedExperts
from stages.model.grouped import by_grouped_product, grouped_linear

NUM_EXPERTS, D, F_INNER = 5, 16, 24
#: Expert 1 and 4 get nothing.
EXPERT_OF_TOKEN = np.array([2, 0, 0, 3, 2, 2, 0, 3, 2, 0, 0])


def _experts(dtype: torch.dtype) -> RoutedExperts:
    experts = RoutedExperts(NUM_EXPERTS, D, F_INNER)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return experts.to(dtype)


def _loop(experts: RoutedExperts, x_ND: torch.Tensor) -> torch.Tensor:
    """The oracle: one token after the other, through the matrices of its expert."""
    rows = []
    for x_D, expert in zip(x_ND, EXPERT_OF_TOKEN.tolist(), strict=True):
        inner = F.gelu(x_D @ experts.up_weight[expert] + experts.up_bias[expert])
        rows.append(inner @ experts.down_weight[expert] + experts.down_bias[expert])
    return torch.stack(rows)


@pytest.mark.parametrize("way", [grouped_linear, by_grouped_product])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)])
def test_grouped_experts_equal_a_loop(monkeypatch, dtype, tolerance, way):
    """Both ways of a grouped map: the one of CPUs, and the one of accelerators, which CPUs can run too."""
    monkeypatch.setattr(experts_module, "grouped_linear", way)
    (dispatch,) = dispatch_tensors([plan_dispatch(EXPERT_OF_TOKEN, NUM_EXPERTS)], torch.device("cpu"))
    grouped, looped = _experts(dtype), _experts(torch.float32)
    with torch.no_grad():  # the oracle works in fp32 on the very same (rounded) numbers
        for parameter, rounded in zip(looped.parameters(), grouped.parameters(), strict=True):
            parameter.copy_(rounded)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(len(EXPERT_OF_TOKEN), D, generator=generator).to(dtype)
    upstream = torch.randn(len(EXPERT_OF_TOKEN), D, generator=generator).to(dtype)
    x_grouped, x_looped = x.clone().requires_grad_(), x.float().requires_grad_()

    y_grouped, y_looped = grouped(x_grouped, dispatch), _loop(looped, x_looped)
    (y_grouped * upstream).sum().backward()
    (y_looped * upstream.float()).sum().backward()

    def close(ours: torch.Tensor, oracle: torch.Tensor) -> None:
        scale = oracle.abs().max().clamp(min=1e-3)
        torch.testing.assert_close(ours.float() / scale, oracle / scale, rtol=0, atol=tolerance)

    close(y_grouped, y_looped)
    close(x_grouped.grad, x_looped.grad)
    for (name, ours), oracle in zip(grouped.named_parameters(), looped.parameters(), strict=True):
        close(ours.grad, oracle.grad)
        assert not ours.grad[[1, 4]].any(), f"{name}: experts without tokens must have no gradient"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_share_out_experts_without_changing_a_bit(dtype):
    """Seven experts of 0 to 90 rows on one, two and five threads; afterwards torch has as many as before."""
    sizes = [40, 0, 90, 1, 17, 0, 64]
    ends = torch.tensor(sizes).cumsum(0).int()
    expert_N = torch.repeat_interleave(torch.arange(7), torch.tensor(sizes))
    generator = torch.Generator().manual_seed(4)
    given = [torch.randn(size, generator=generator).to(dtype) for size in ((sum(sizes), 16), (7, 16, 24), (7, 24))]
    upstream = torch.randn(sum(sizes), 24, generator=generator).to(dtype)
    before, answers = torch.get_num_threads(), []
    try:
        for num_threads in (1, 2, 5):
            torch.set_num_threads(num_threads)
            x, weight, bias = (tensor.clone().requires_grad_() for tensor in given)
            y = grouped_linear(x, weight, bias, expert_N, ends)
            y.backward(upstream)
            assert torch.get_num_threads() == num_threads
            answers.append((y.detach(), x.grad, weight.grad, bias.grad))
    finally:
        torch.set_num_threads(before)
    for other in answers[1:]:
        for ours, theirs in zip(other, answers[0], strict=True):
            assert torch.equal(ours, theirs)
    torch.set_num_threads(3)
    try:
        with torch.inference_mode():  # as evaluation computes
            assert torch.equal(grouped_linear(*given, expert_N, ends), answers[0][0])
    finally:
        torch.set_num_threads(before)
    with pytest.raises(RuntimeError, match="mat"):
        grouped_linear(given[0][:, :8], given[1], None, expert_N, ends)
    assert torch.get_num_threads() == before


def test_the_layer_gives_tokens_back_in_their_order():
    experts = _experts(torch.float32)
    x = torch.randn(len(EXPERT_OF_TOKEN), D, generator=torch.Generator().manual_seed(3))
    (forward,) = dispatch_tensors([plan_dispatch(EXPERT_OF_TOKEN, NUM_EXPERTS)], torch.device("cpu"))
    (backward,) = dispatch_tensors([plan_dispatch(EXPERT_OF_TOKEN[::-1].copy(), NUM_EXPERTS)], torch.device("cpu"))
    torch.testing.assert_close(experts(x, forward), experts(x.flip(0), backward).flip(0))


def test_a_frequent_rows_gradient_is_summed_in_fp32():
    table = Table(4, 8).to(torch.bfloat16)
    with torch.no_grad():
        table.weight.zero_()
    index = torch.full((1000,), 2)
    table(index).backward(torch.ones(1000, 8, dtype=torch.bfloat16))
    # adding ones in bf16 stops at 256, where the next one rounds away
    assert table.weight.grad[2].tolist() == [1000.0] * 8
    assert not table.weight.grad[[0, 1, 3]].any()


def test_a_table_reads_like_torchs_embedding():
    table = Table(7, 8)
    with torch.no_grad():
        table.weight.normal_(generator=torch.Generator().manual_seed(0))
    weight = table.weight.detach().clone().requires_grad_()
    index = torch.tensor([[0, 6, 6], [2, 0, 3]])
    upstream = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))
    ours, theirs = table(index), F.embedding(index, weight)
    ours.backward(upstream)
    theirs.backward(upstream)
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(table.weight.grad, weight.grad)


#: Eighths between powers of two, and multiples of eight below 128: what a product may take of rows.
ROUND_SIZES = {8 * n for n in range(1, 17)} | {2**power // 8 * n for power in range(7, 13) for n in range(8, 17)}


@given(st.integers(1, 5000), st.integers(0, 200), st.integers(0, 200))
def test_a_product_of_round_size_holds_the_rows_of_its_expert(num_rows, before, behind):
    rows, total = slice(before, before + num_rows), before + num_rows + behind
    window, own = grouped_module._window(rows, total)
    assert 0 <= window.start <= rows.start < rows.stop <= window.stop <= total
    assert (window.start + own.start, window.start + own.stop) == (rows.start, rows.stop)
    size = window.stop - window.start
    assert size <= max(8, 1.125 * num_rows + 8)
    assert size == total or size in ROUND_SIZES
