"""What ``seq2seq_steps.py`` compares with: bare passes of the run's own models, and ``generate()`` of transformers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import DynamicCache, EncoderDecoderCache

from tgframe import Prompts, Rollouts
from tgframe.engine.ranking import plackett_luce
from tgframe.engine.state import Run
from tgframe.interfaces.schedule import Optimizer

TOP_K = 50
ADAM = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Floors:
    """The passes of both steps, over copies of the models as they start: nothing is shared with the run."""

    def __init__(self, run: Run) -> None:
        self.policy = copy.deepcopy(run.parts.policy.language_model).eval()
        self.guidance = copy.deepcopy(run.parts.guidance).eval()
        self.adam = Adam(list(self.policy.parameters()), run.optimizers.policy)
        self.fit_adam = Adam(self.guidance.trainable(), run.optimizers.guidance)

    @torch.inference_mode()
    def sample(self, prompts: Prompts, k: int, length: int) -> torch.Tensor:
        """Return completions int64 ``[BK,T]``: each prompt is encoded once, then one cached pass a token."""
        config, head, bias = self.policy.config, self.policy.get_output_embeddings(), self.policy.final_logits_bias
        decoder, mask = self.policy.get_decoder(), prompts.mask
        memory = self.policy.get_encoder()(input_ids=prompts.tokens, attention_mask=mask).last_hidden_state
        cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        tokens, written = started(len(prompts), config), []
        for _ in range(length):
            source = {"encoder_hidden_states": memory, "encoder_attention_mask": mask}
            states = decoder(input_ids=tokens, **source, past_key_values=cache, use_cache=True).last_hidden_state
            logits = head(states[:, -1]) + bias
            if not written:  # the start token is read once a prompt, too
                cache.batch_repeat_interleave(k)
                memory, mask, logits = (part.repeat_interleave(k, 0) for part in (memory, mask, logits))
            best, ids = logits.topk(TOP_K)
            tokens = ids.gather(1, torch.multinomial(best.softmax(-1), 1))
            written.append(tokens)
        return torch.cat(written, 1)

    def values(self, prompts: Prompts, completions: torch.Tensor) -> torch.Tensor:
        """Return raw values ``[BK,T]``: one pass of the encoder over ``[B,S]``, one of the decoder, the head."""
        network = self.guidance.network
        states = passed(network, prompts, torch.cat([started(len(completions), network.config), completions], 1))
        raw: torch.Tensor = self.guidance.head(states[:, 1:]).squeeze(-1)
        return raw

    def grounding(self, prompts: Prompts, k: int, length: int, updates: int) -> None:
        completions = self.sample(prompts, k, length).clone()
        with torch.no_grad():
            self.values(prompts, completions)
        truth = torch.rand(len(prompts), k)
        for _ in range(updates):
            scores = self.values(prompts, completions).mean(-1).view(-1, k)
            self.fit_adam.step(plackett_luce(scores, truth).loss)

    def improvement(self, prompts: Prompts) -> None:
        targets: Rollouts | None = prompts.targets
        assert targets is not None
        tokens, real = targets.tokens[:, 0], targets.mask[:, 0]
        with torch.no_grad():
            worth = self.values(prompts, tokens).sigmoid() * real
            weights = (worth / worth.sum(-1, keepdim=True))[real]
        before = torch.cat([started(len(tokens), self.policy.config), tokens[:, :-1]], 1)
        states = passed(self.policy, prompts, before).flatten(0, 1)
        states = states.index_select(0, real.flatten().nonzero().squeeze(-1))  # padding needs no head
        logits = self.policy.get_output_embeddings()(states) + self.policy.final_logits_bias
        self.adam.step((weights * cross_entropy(logits, tokens[real], reduction="none")).sum() / len(tokens))

    def generate(self, prompts: Prompts, length: int, **options: Any) -> torch.Tensor:
        """Return what ``generate()`` writes; it makes no text of it."""
        options |= {"min_new_tokens": length, "max_new_tokens": length, "num_beams": 1}
        written: torch.Tensor = self.policy.generate(
            input_ids=prompts.tokens, attention_mask=prompts.mask.long(), **options
        )
        return written


class Adam:
    """Backward, clipping, one update."""

    def __init__(self, parameters: list[torch.nn.Parameter], options: Optimizer) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.optimizer = ADAM[options.type](self.parameters, lr=options.lr, weight_decay=options.weight_decay)
        self.clip = options.clip

    def step(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()


def started(rows: int, config: Any) -> torch.Tensor:
    return torch.full((rows, 1), config.decoder_start_token_id)


def passed(model: Any, prompts: Prompts, tokens: torch.Tensor) -> torch.Tensor:
    """Return the decoder's states ``[BK,L,D]`` of ``tokens`` ``[BK,L]``; the encoder reads each prompt once."""
    memory = model.get_encoder()(input_ids=prompts.tokens, attention_mask=prompts.mask).last_hidden_state
    k = len(tokens) // len(prompts)
    states: torch.Tensor = model.get_decoder()(
        input_ids=tokens,
        encoder_hidden_states=memory.repeat_interleave(k, 0),
        encoder_attention_mask=prompts.mask.repeat_interleave(k, 0),
        use_cache=False,
    ).last_hidden_state
    return states
