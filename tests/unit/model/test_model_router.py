"""The learned router: weights and loads by hand, the same plans as on the host, a loop over tokens as oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.model.config import RouterConfig
from stages.model.dispatch import plan_dispatch
from stages.model.initial import build_model
from stages.model.loss import row_losses
from stages.model.router import AttachLoss, Router, RoutingRecord, balance_loss, plan_on_device
from tests.unit.model.batches import EOD, PAD, batch_of, small_shape, table_of

ROWS = [[5, 9, 3, 7, EOD, 8, 2], [8, 2, 11, EOD, PAD, PAD, PAD]]


def _router(**config) -> Router:
    router = Router(8, RouterConfig(**{"num_experts": 4, "top_k": 2, "d_expert": 8, **config}))
    with torch.no_grad():
        router.gate.weight.copy_(torch.eye(8)[:4])  # the logit of expert e is the token's number e
    return router


def _choose(router: Router, *logits: float):
    x = torch.zeros(1, 8)
    x[0, :4] = torch.tensor(logits)
    return router(x, torch.ones(1, dtype=torch.bool))


def test_sigmoid_weights_are_renormalised_and_scaled():
    choice = _choose(_router(scale=2.5), 0.0, 2.0, -1.0, 1.0)
    two, one = (1 / (1 + np.exp(-logit)) for logit in (2.0, 1.0))
    assert choice.weights_Nk[0].tolist() == pytest.approx([2.5 * two / (two + one), 2.5 * one / (two + one)])
    assert choice.dispatch.expert_N.tolist() == [1, 3]
    assert choice.dispatch.ends_E.tolist() == [0, 1, 1, 2]


def test_softmax_weights_without_renormalising_are_shares_of_all_experts():
    choice = _choose(_router(score="softmax", renormalise=False, scale=1.0), 0.0, 2.0, -1.0, 1.0)
    shares = np.exp([2.0, 1.0]) / np.exp([0.0, 2.0, -1.0, 1.0]).sum()
    assert choice.weights_Nk[0].tolist() == pytest.approx(shares.tolist())


@given(st.lists(st.integers(0, 6), max_size=50))
def test_a_plan_on_the_device_is_the_plan_of_the_host(experts):
    host = plan_dispatch(np.array(experts, dtype=np.int64), num_experts=7)
    device = plan_on_device(torch.tensor(experts, dtype=torch.int64), 7)
    for name in ("order_N", "inverse_N", "expert_N", "ends_E"):
        assert getattr(device, name).tolist() == getattr(host, name).tolist()
    assert device.ends_E.dtype == torch.int32


def test_balance_is_one_when_even_and_the_number_of_experts_when_one_takes_all():
    even = torch.eye(4)
    counted = torch.ones(4, dtype=torch.bool)
    assert float(balance_loss(even, torch.arange(4).unsqueeze(1), counted)) == pytest.approx(1)
    one = torch.zeros(4, 4)
    one[:, 2] = 1
    assert float(balance_loss(one, torch.full((4, 1), 2), counted)) == pytest.approx(4)
    # padding is not looked at: only the first token counts, and it filled expert 0
    assert float(balance_loss(even, torch.arange(4).unsqueeze(1), torch.tensor([True, False, False, False]))) == 4


def test_an_attached_loss_gets_its_gradient_and_changes_no_output():
    x, w = torch.ones(3, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    y = AttachLoss.apply(x, w * w, torch.tensor(0.5))
    assert torch.equal(y, x)
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
    assert float(w.grad) == 0.5 * 2 * 2


@pytest.mark.parametrize("feed_forward", ["gelu", "swiglu"])
def test_a_learned_layer_equals_a_loop_over_tokens(feed_forward):
    router = RouterConfig(num_experts=5, top_k=2, d_expert=16, num_shared_experts=1, auxiliary_weight=0.0)
    shape = small_shape(num_learned_layers=1, router=router, feed_forward=feed_forward)
    block = build_model(shape, 0).learned_blocks[0]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    x = torch.randn(7, 16, generator=generator)
    mixed = block._mix(x, torch.ones(7, dtype=torch.bool), RoutingRecord())
    experts = dict(block.experts.named_parameters())
    for token, out in zip(x, mixed, strict=True):
        scores = (block.router.gate.weight @ token).sigmoid()
        best = scores.topk(2).indices
        expected = block.shared(token)
        for expert in best.tolist():
            up = token @ experts["up_weight"][expert]
            if feed_forward == "gelu":
                inner = torch.nn.functional.gelu(up + experts["up_bias"][expert])
                answer = inner @ experts["down_weight"][expert] + experts["down_bias"][expert]
            else:
                gate = torch.nn.functional.silu(token @ experts["gate_weight"][expert])
                answer = (gate * up) @ experts["down_weight"][expert]
            expected = expected + 2.5 * scores[expert] / scores[best].sum() * answer
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_the_balance_loss_enters_the_gradient_with_its_weight():
    def gate_gradient(auxiliary_weight: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Gradient of the router's matrix in a training step, and that of the balance loss alone."""
        router = RouterConfig(num_experts=4, top_k=1, d_expert=16, auxiliary_weight=auxiliary_weight, renormalise=False)
        shape = small_shape(num_learned_layers=1, num_rre_layers=0, router=router)
        model = build_model(shape, 3)
        gate = model.learned_blocks[0].router
        seen: list[torch.Tensor] = []
        gate.register_forward_hook(lambda module, inputs, choice: seen.append(choice.balance))
        batch, record = batch_of(shape, ROWS, [0, 1], table_of(shape)), RoutingRecord()
        losses_B = row_losses(model(batch, record), batch.targets_BT, batch.valid_BT)
        (alone,) = torch.autograd.grad(seen[0], gate.gate.weight, retain_graph=True)
        losses_B.sum().backward()
        assert int(record.load_E[0].sum()) == 12  # padding goes through experts too: nothing is dropped
        assert int(batch.valid_BT.sum()) == 8
        return gate.gate.weight.grad, alone

    (without, alone), (with_it, _) = gate_gradient(0.0), gate_gradient(0.3)
    assert alone.any()
    # the step divides everything by the counted targets, here 8
    torch.testing.assert_close(with_it - without, 0.3 * 8 * alone, rtol=1e-4, atol=1e-5)
