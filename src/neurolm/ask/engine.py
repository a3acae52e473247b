"""How options are scored: their likelihoods after EEG and a question; and free text.

The EEG and the question (the prefix) go through the model once; all options continue from its key-value cache in one
more pass, and none sees another.
A batch for the engine has one document in each row, from the left; rows may be of different length, the rest is
padding. A document's answer does not depend on the others in the batch.

>>> likelihood = score_options(model, batch, [tokens_of_yes, tokens_of_no])
>>> probabilities = likelihood.softmax(-1)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from neurolm.core.batch import PADDING, Batch
from neurolm.core.errors import QuestionError
from neurolm.model.attention import Branches
from neurolm.model.neurolm import NeuroLM
from neurolm.model.transformer import Cache


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """What the model knows after reading EEG and question of each document."""

    cache: Cache
    """Keys and values of all places."""
    hidden: Tensor
    """Hidden state at each document's last place, (documents, model width)."""
    document: Tensor
    """int64 (documents, 1), the row's document id."""
    step: Tensor
    """int64 (documents, 1), the last step."""
    position: Tensor
    """int64 (documents, 1), the last position."""


def score_options(model: NeuroLM, batch: Batch, options: Sequence[Sequence[int]]) -> Tensor:
    """Log-likelihood of each option after each document's EEG and question.

    Parameters
    ----------
    model
        Any mode; it is evaluated without dropout and left as it was.
    batch
        One document in each row (see above).
    options
        Token ids of each option, the same for all documents; lengths may differ.

    Returns
    -------
    Tensor
        float32 (documents, options): sum over the option's tokens of log p(token | what comes before), where p is
        normalised over the text tokens, since no answer contains EEG codes.

    Raises
    ------
    QuestionError
        If there are no options, one is empty, or prefix and option together are longer than the model reads.
    """
    if not options or not all(options):
        raise QuestionError(f"options must be non-empty lists of tokens, not {[list(option) for option in options]}")
    with _evaluating(model):
        return score_after(model, read_prefix(model, batch, room=max(map(len, options)) - 1), options)


def score_each(model: NeuroLM, batch: Batch, options: Sequence[Sequence[Sequence[int]]]) -> list[Tensor]:
    """Log-likelihoods of the options of each document, which may be other ones than those of its batch-mates.

    Parameters
    ----------
    model, batch
        As for ``score_options``.
    options
        Token ids of each option of each document.

    Returns
    -------
    list of Tensor
        For each document what ``score_options`` returns, (options,), but for the rounding of another order of sums.

    Raises
    ------
    QuestionError
        As ``score_options``.
    """
    with _evaluating(model):
        room = max(len(option) for own in options for option in own) - 1
        return _score_after_each(model, read_prefix(model, batch, room=room), options)


def score_questions(
    model: NeuroLM, batch: Batch, questions: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]
) -> list[Tensor]:
    """Log-likelihoods of the options of several questions about the same EEG, which goes through the model once.

    Parameters
    ----------
    model
        Any mode; it is evaluated without dropout and left as it was.
    batch
        EEG alone, one window in each row, whose last second is there.
    questions
        Token ids of a question, with those of each of its options.

    Returns
    -------
    list of Tensor
        What ``score_options`` returns for each question, but for the rounding of another order of sums.

    Raises
    ------
    QuestionError
        As ``score_options``.
    """
    with _evaluating(model):
        eeg, scores = read_prefix(model, batch), []
        for question, options in questions:
            prefix = read_on(model, eeg, question, room=max(map(len, options)) - 1)
            scores.append(score_after(model, prefix, options))
        return scores


def generate(
    model: NeuroLM,
    batch: Batch,
    *,
    max_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[list[int]]:
    """Write text after each document.

    Parameters
    ----------
    model
        Any mode; it is evaluated without dropout and left as it was.
    batch
        One document in each row (see above).
    max_tokens
        Most tokens to write.
    temperature
        0 takes the likeliest token each time; else tokens are drawn at this temperature.
    seed
        Seed of the draws; each document has draws of its own, so batch-mates change nothing.

    Returns
    -------
    list of list of int
        Text tokens of each document, up to and without ``<|endoftext|>``.

    Raises
    ------
    QuestionError
        If prefix and text together are longer than the model reads.
    """
    end = model.vocabulary.end_of_text
    with _evaluating(model):
        prefix = read_prefix(model, batch, room=max_tokens - 1)
        hidden, written = prefix.hidden, []
        generators = [torch.Generator().manual_seed(seed) for _ in hidden]
        ended = torch.zeros(len(hidden), dtype=torch.bool, device=hidden.device)
        for count in range(1, max_tokens + 1):
            token = _choose(_text_log_probabilities(model, hidden), temperature, generators)
            written.append(token)
            ended |= token == end
            if ended.all() or count == max_tokens:
                break
            hidden = _read_text(model, prefix, prefix.cache, token[:, None], offset=count)[:, -1]
    texts = torch.stack(written, 1).tolist() if written else [[] for _ in hidden]
    return [text[: text.index(end)] if end in text else text for text in texts]


@dataclass
class Heard:
    """What encoder and language model keep of the EEG that documents have shown so far, so that more can follow."""

    encoder: Cache = field(default_factory=Cache)
    language: Cache = field(default_factory=Cache)


def read_prefix(model: NeuroLM, batch: Batch, *, room: int = 0, heard: Heard | None = None) -> Prefix:
    """Read EEG and question of each document once.

    Parameters
    ----------
    model
        In evaluation mode; with ``heard``, one whose encoder sees no later second.
    batch
        One document in each row.
    room
        Tokens that are to follow.
    heard
        What the same documents have shown before; it grows by these places. What is returned goes on from its caches.

    Raises
    ------
    QuestionError
        If a document and what is to follow are longer than the model reads.
    """
    tokens = batch.tokens
    assert tokens is not None, "the language model needs tokens"
    document = tokens.document[:, :1]
    real = tokens.document != PADDING
    assert bool((real <= (tokens.document == document)).all()), "the engine takes one document per row"
    last = real.sum(1, keepdim=True) - 1
    assert bool((last >= 0).all()) and bool((real.long().diff(dim=1) <= 0).all()), "documents start at the left"
    position = tokens.position.gather(1, last)
    _require_positions(model, position, room)
    cache, features = Cache(), None
    if heard is not None and batch.patches is not None:
        cache, features = heard.language, model.features(batch.patches, heard.encoder)
    hidden = model(batch, features=features, cache=cache)
    return Prefix(
        cache=cache,
        hidden=hidden.gather(1, last[..., None].expand(-1, -1, hidden.shape[2]))[:, 0],
        document=document,
        step=tokens.step.gather(1, last),
        position=position,
    )


def read_on(model: NeuroLM, prefix: Prefix, text: Sequence[int], *, room: int = 0) -> Prefix:
    """Read a text after each document, the same for all; the prefix stays as it is.

    Parameters and errors are those of ``read_prefix``.
    """
    cache, count = prefix.cache.fork(), len(text)
    step, position = prefix.step + count, prefix.position + count
    _require_positions(model, position, room)
    tokens = torch.tensor(text, device=position.device).expand(len(position), -1)
    hidden = _read_text(model, prefix, cache, tokens, offset=1)[:, -1]
    return Prefix(cache=cache, hidden=hidden, document=prefix.document, step=step, position=position)


def _require_positions(model: NeuroLM, position: Tensor, room: int) -> None:
    require_positions(int(position.max()) + 1 + room, model.config.language.positions)


def require_positions(longest: int, limit: int) -> None:
    """Refuse what takes more positions than a model reads.

    Raises
    ------
    QuestionError
        If it does.
    """
    if longest > limit:
        raise QuestionError(
            f"EEG, question and answer take {longest} positions, and this model reads {limit}: "
            "use a shorter window or a shorter question"
        )


def score_after(model: NeuroLM, prefix: Prefix, options: Sequence[Sequence[int]]) -> Tensor:
    """Log-likelihood of each option after what was read, float32 (documents, options).

    All options go through the model in one pass, side by side after the prefix: none sees another.
    """
    device, documents = prefix.hidden.device, len(prefix.hidden)
    first = _text_log_probabilities(model, prefix.hidden)
    scores = first[:, torch.tensor([option[0] for option in options], device=device)]
    read = [(number, place, token) for number, option in enumerate(options) for place, token in enumerate(option[:-1])]
    if not read:
        return scores
    branch, place, token = torch.tensor(read, device=device).T
    following = torch.tensor([token for option in options for token in option[1:]], device=device)
    step, position = prefix.step + 1 + place, prefix.position + 1 + place
    cache = prefix.cache.fork()
    seen = Branches(cache.extend(prefix.document.expand_as(step), step), branch)
    hidden = model.language(model.language.words(token.expand(documents, -1)), position, seen, cache)
    found = _text_log_probabilities(model, hidden).gather(2, following.expand(documents, -1)[..., None])[..., 0]
    return scores.index_add(1, branch, found)


def _score_after_each(model: NeuroLM, prefix: Prefix, options: Sequence[Sequence[Sequence[int]]]) -> list[Tensor]:
    """As ``score_after``, with options of each document: rows are filled up with padding, which sees nothing of it."""
    device = prefix.hidden.device
    first = _text_log_probabilities(model, prefix.hidden)
    scores = [row[[option[0] for option in own]] for row, own in zip(first, options, strict=True)]
    read = [
        [(number, place, token, option[place + 1]) for number, option in enumerate(own)
         for place, token in enumerate(option[:-1])]
        for own in options
    ]  # fmt: skip
    longest = max(map(len, read))
    if not longest:
        return scores
    padding = (PADDING, 0, 0, 0)
    filled = torch.tensor([own + [padding] * (longest - len(own)) for own in read], device=device)
    branch, place, token, following = filled.unbind(2)
    document = torch.where(branch == PADDING, PADDING, prefix.document)
    cache = prefix.cache.fork()
    seen = Branches(cache.extend(document, prefix.step + 1 + place), branch)
    hidden = model.language(model.language.words(token), prefix.position + 1 + place, seen, cache)
    found = _text_log_probabilities(model, hidden).gather(2, following[..., None])[..., 0]
    return [
        score.index_add(0, branch[row, : len(own)], found[row, : len(own)])
        for row, (score, own) in enumerate(zip(scores, read, strict=True))
    ]


def _read_text(model: NeuroLM, prefix: Prefix, cache: Cache, tokens: Tensor, *, offset: int) -> Tensor:
    """Hidden states of text, (documents, tokens, model width), that starts ``offset`` places after the prefix."""
    along = torch.arange(tokens.shape[1], device=tokens.device) + offset
    seen = cache.extend(prefix.document.expand_as(tokens), prefix.step + along)
    return model.language(model.language.words(tokens), prefix.position + along, seen, cache)


def _text_log_probabilities(model: NeuroLM, hidden: Tensor) -> Tensor:
    return F.linear(hidden, model.text_rows).float().log_softmax(-1)


def _choose(log_probabilities: Tensor, temperature: float, generators: Sequence[torch.Generator]) -> Tensor:
    """One token for each document, int64 (documents,)."""
    if temperature <= 0:
        return log_probabilities.argmax(-1)
    shares = (log_probabilities / temperature).softmax(-1).cpu()
    drawn = [torch.multinomial(share, 1, generator=g) for share, g in zip(shares, generators, strict=True)]
    return torch.cat(drawn).to(log_probabilities.device)


@contextmanager
def _evaluating(model: NeuroLM) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
