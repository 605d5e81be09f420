"""The whole model against transformers' Llama and GPT-2 with the same weights."""

import dataclasses
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from maquette.models.gpt import GPT
from tests.models.small import GPT2, LLAMA, small_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, not ours


def llama_weights(model: GPT) -> dict[str, Tensor]:
    """Our weights under Llama's names: fused matrices are taken apart."""
    s, ours = model.shape, model.state_dict()
    theirs = {
        "model.embed_tokens.weight": ours["token_embedding.weight"],
        "model.norm.weight": ours["norm.weight"],
        "lm_head.weight": ours["output.weight"],
    }
    for i in range(s.depth):
        mine, other = f"blocks.{i}.", f"model.layers.{i}."
        sizes = [heads * s.head_dim for heads in (s.heads, s.kv_heads, s.kv_heads)]
        parts = ours[mine + "attention.qkv.weight"].split(sizes)
        for name, part in zip("qkv", parts, strict=True):
            theirs[f"{other}self_attn.{name}_proj.weight"] = part
        gate, up = ours[mine + "feed_forward.input.weight"].chunk(2)
        theirs[other + "mlp.gate_proj.weight"], theirs[other + "mlp.up_proj.weight"] = gate, up
        theirs[other + "mlp.down_proj.weight"] = ours[mine + "feed_forward.output.weight"]
        theirs[other + "self_attn.o_proj.weight"] = ours[mine + "attention.output.weight"]
        theirs[other + "input_layernorm.weight"] = ours[mine + "attention_norm.weight"]
        theirs[other + "post_attention_layernorm.weight"] = ours[mine + "feed_forward_norm.weight"]
    return theirs


def gpt2_weights(model: GPT) -> dict[str, Tensor]:
    """Our weights under GPT-2's names: its matrices stand the other way round."""
    ours = model.state_dict()
    theirs = {
        "transformer.wte.weight": ours["token_embedding.weight"],
        "transformer.wpe.weight": ours["position_embedding.weight"],
        "lm_head.weight": ours["output.weight"],
    }
    names = {
        "attention_norm": "ln_1",
        "attention.qkv": "attn.c_attn",
        "attention.output": "attn.c_proj",
        "feed_forward_norm": "ln_2",
        "feed_forward.input": "mlp.c_fc",
        "feed_forward.output": "mlp.c_proj",
    }
    for kind in ("weight", "bias"):
        theirs[f"transformer.ln_f.{kind}"] = ours[f"norm.{kind}"]
        for i in range(model.shape.depth):
            for mine, other in names.items():
                value = ours[f"blocks.{i}.{mine}.{kind}"]
                theirs[f"transformer.h.{i}.{other}.{kind}"] = value.T if value.ndim == 2 else value
    return theirs


def load(model: Any, weights: dict[str, Tensor]) -> Any:
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected
    assert not [name for name in missing if "rotary" not in name]
    return model.eval()


def compare(ours: GPT, theirs: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(ours.shape.vocabulary, (2, ours.shape.context), generator=generator)
    with torch.no_grad():
        logits, _ = ours(tokens)
        assert logits is not None
        assert logits.std() > 0.1  # or there would be little to compare
        assert (logits - theirs(tokens).logits).abs().max() < 1e-5
        _, loss = ours(tokens[:, :-1], tokens[:, 1:])
        assert abs(float(loss) - float(theirs(tokens, labels=tokens).loss)) < 1e-5


@pytest.mark.parametrize(
    "changes",
    [{}, {"kv_heads": 2}, {"kv_heads": 1, "tie_embeddings": False}, {"rope_base": 500.0}],
    ids=["multi-head", "grouped", "multi-query", "another base"],
)
def test_llama(changes: dict[str, Any]) -> None:
    shape = dataclasses.replace(LLAMA, **{"context": 140, "vocabulary": 300, **changes})
    config = transformers.LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_base},
        tie_word_embeddings=shape.tie_embeddings,
    )
    ours = small_model(shape, scale=1.0)
    compare(ours, load(transformers.LlamaForCausalLM(config), llama_weights(ours)))


def test_gpt2() -> None:
    shape = dataclasses.replace(GPT2, context=140, vocabulary=300, hidden=4 * GPT2.width)
    config = transformers.GPT2Config(
        vocab_size=shape.vocabulary,
        n_positions=shape.context,
        n_embd=shape.width,
        n_layer=shape.depth,
        n_head=shape.heads,
        layer_norm_epsilon=shape.norm_epsilon,
    )
    ours = small_model(shape, scale=1.0)
    compare(ours, load(transformers.GPT2LMHeadModel(config), gpt2_weights(ours)))
