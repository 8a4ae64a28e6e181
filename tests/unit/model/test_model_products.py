"""Products in bf16 made in fp32: every product equals the fp32 product of the same numbers, rounded once."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F

from stages.model import grouped, products
from stages.model.products import InFp32, cpu_product, products_in

CPU = torch.device("cpu")


def _rounded(*size: int, seed: int) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)


def _same(ours: torch.Tensor, wide: torch.Tensor) -> None:
    assert ours.dtype == torch.bfloat16
    assert wide.dtype == torch.float32
    assert torch.equal(ours, wide.to(torch.bfloat16))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(6, 16), (2, 3, 16)])
def test_a_linear_map_and_its_gradients(size, bias):
    given = [_rounded(*size, seed=0), _rounded(24, 16, seed=1), *([_rounded(24, seed=2)] if bias else [])]
    ours = [tensor.clone().requires_grad_() for tensor in given]
    wide = [tensor.float().requires_grad_() for tensor in given]
    upstream = _rounded(*size[:-1], 24, seed=3)
    with InFp32():
        y = F.linear(*ours)
        y.backward(upstream)
    y_wide = F.linear(*wide)
    y_wide.backward(upstream.float())
    _same(y, y_wide)
    for one, other in zip(ours[:2], wide[:2], strict=True):  # a bias's gradient is a sum, no product
        _same(one.grad, other.grad)


def test_products_of_batches():
    a, b = _rounded(3, 4, 8, seed=0), _rounded(3, 8, 5, seed=1)
    with InFp32():
        y = torch.bmm(a, b)
    _same(y, torch.bmm(a.float(), b.float()))


def test_inference_mode_reaches_products_too():
    x, weight, bias = _rounded(2, 3, 16, seed=0), _rounded(24, 16, seed=1), _rounded(24, seed=2)
    with torch.inference_mode(), InFp32():
        y, z = F.linear(x, weight, bias), x @ weight.t()
    _same(y, F.linear(x.float(), weight.float(), bias.float()))
    _same(z, x.float() @ weight.float().t())


def test_gradients_of_attention():
    """The way back is made in fp32 from the bf16 output of the way forward."""
    given = [_rounded(2, 4, 16, 8, seed=seed) for seed in range(3)]
    upstream = _rounded(2, 4, 16, 8, seed=3)
    ours = [tensor.clone().requires_grad_() for tensor in given]
    wide = [tensor.float().requires_grad_() for tensor in given]
    with InFp32():
        F.scaled_dot_product_attention(*ours, is_causal=True).backward(upstream)
    F.scaled_dot_product_attention(*wide, is_causal=True).backward(upstream.float())
    for one, other in zip(ours, wide, strict=True):
        assert one.grad.dtype == torch.bfloat16
        torch.testing.assert_close(one.grad.float(), other.grad, rtol=0.02, atol=0.02)


def test_nothing_but_products_of_bf16_is_touched():
    a, b = torch.randn(4, 4), _rounded(4, 4, seed=0)
    with InFp32():
        assert torch.equal(torch.mm(a, a), a.mm(a))
        assert (b + b).dtype == torch.bfloat16
        assert torch.equal(b + b, b * 2)


def test_what_is_kept_for_the_way_back_stays_narrow():
    x, weight = (_rounded(8, 8, seed=seed).requires_grad_() for seed in (0, 1))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.dtype) or t, lambda t: t), InFp32():
        F.linear(x, weight)
    assert set(kept) == {torch.bfloat16}


def test_the_product_of_an_expert(monkeypatch):
    a, b = _rounded(6, 16, seed=0), _rounded(16, 5, seed=1)
    monkeypatch.setattr(products, "cpu_multiplies_bf16", lambda: False)
    _same(cpu_product(a, b), a.float() @ b.float())
    assert torch.equal(cpu_product(a.float(), b.float()), a.float() @ b.float())
    place = torch.empty(6, 5, dtype=torch.bfloat16)
    cpu_product(a, b, out=place)
    _same(place, a.float() @ b.float())


def test_experts_of_a_cpu_without_bf16_products(monkeypatch):
    """The threads that share out experts make them in fp32, too: no thread is left to the slow loop."""
    asked = []
    monkeypatch.setattr(products, "cpu_multiplies_bf16", lambda: False)
    monkeypatch.setattr(torch, "mm", lambda a, b: asked.append(a.dtype) or torch.matmul(a, b))
    x, weight = _rounded(20, 8, seed=0).requires_grad_(), _rounded(3, 8, 8, seed=1).requires_grad_()
    ends, experts = torch.tensor([5, 12, 20]).int(), torch.tensor([0] * 5 + [1] * 7 + [2] * 8)
    y = grouped.grouped_linear(x, weight, None, experts, ends)
    y.backward(_rounded(20, 8, seed=2))
    assert asked == [torch.float32] * 9, "three experts, one product forward and two back"
    for expert, rows in enumerate((slice(0, 5), slice(5, 12), slice(12, 20))):
        _same(y[rows].detach(), (x[rows].float() @ weight[expert].float()).detach())


@pytest.mark.parametrize(
    ("precision", "device", "native", "in_fp32"),
    [
        ("bf16", "cpu", False, True),
        ("bf16", "cpu", True, False),
        ("fp32", "cpu", False, False),
        ("bf16", "cuda", False, False),
    ],
)
def test_only_bf16_on_a_cpu_without_it_is_made_in_fp32(monkeypatch, precision, device, native, in_fp32):
    monkeypatch.setattr(products, "cpu_multiplies_bf16", lambda: native)
    assert isinstance(products_in(precision, torch.device(device)), InFp32 if in_fp32 else nullcontext)
