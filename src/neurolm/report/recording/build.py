"""The sections of a report, put together of what was gathered: one page first, details after"""

from __future__ import annotations

from collections.abc import Iterator

from neurolm.ask.answer import Answer
from neurolm.ask.question import NOT_CALIBRATED, NOT_TUNED, SIMULATED
from neurolm.ask.verdict import verdict
from neurolm.core.amounts import in_words, likely, many
from neurolm.core.physics import RATE
from neurolm.report.recording import answered, signal, words
from neurolm.report.recording.blocks import Asked, Bar, Block, Document, Facts, Paragraph, Picture, Points, Section
from neurolm.report.recording.gather import Gathered, likeliest
from neurolm.report.recording.timelines import strip

ROOM = 2
"""Questions beside which the first page has room for a glance at the spectrum."""
GRAVE = ("warning:", "truncated", "clipped", "amplitude outside", "one signal in", "never seen in training and",
         "the answer rests on", "between ", "all ")  # fmt: skip
"""How notes about a recording begin that belong on page one."""
RANKS = (SIMULATED, "unlike the training data", NOT_TUNED, NOT_CALIBRATED, "undecided")
"""How the worst of what limits answers begins, the worst first."""


def build(found: Gathered) -> Document:
    """Put a report together."""
    return Document(
        name=found.name,
        title=f"EEG report: {found.name}",
        made=found.made,
        first=tuple(_first(found)),
        sections=(
            Section(title="Answers in detail", blocks=(), parts=tuple(
                answered.section(answer, explained, found) for answer, explained
                in zip(found.answers, found.explanations, strict=True)
            )),
            signal.quality(found),
            signal.spectra(found),
            *([signal.annotated(found.annotations)] if found.annotations else []),
            Section(title="How to read this", blocks=words.reading(found)),
            Section(title="The model, and how this report was made", blocks=words.model(found)),
        ),
    )  # fmt: skip


def _first(found: Gathered) -> Iterator[Block]:
    yield Facts(pairs=tuple(_facts(found)))
    if limits := warnings(found):
        yield Points(title="Before you read the answers", lines=limits, warning=True)
    for answer in found.answers:
        yield asked(answer, found.inspection.seconds or 0.0)
    if len(found.answers) <= ROOM:
        yield signal.glance(found)
    yield Facts(pairs=(("model", words.model_in_short(found)), *words.accuracy(found)))
    yield Paragraph(text=words.NO_DEVICE, quiet=True)


def _facts(found: Gathered) -> Iterator[tuple[str, str]]:
    inspection, spectra = found.inspection, found.spectra
    seconds = inspection.seconds or 0.0
    yield "length", in_words(seconds) + signal.left_out(found)
    heard = found.answers[0].electrodes if found.answers else ()
    recorded = many(len(inspection.electrodes), "electrode")
    used = "all of which the model reads" if len(heard) == len(inspection.electrodes) else (
        f"{len(heard)} of them read by the model: {words.listed(heard, 24)}"
    )  # fmt: skip
    yield "electrodes", f"{recorded}, {used}"
    yield (
        "signal",
        f"{inspection.rate:g} samples per second; read at {RATE}, {words.hertz(spectra.band)}, mains removed",
    )
    yield "quality", signal.in_a_sentence(found)
    yield "posterior rhythm", signal.rhythm_in_words(found)


def asked(answer: Answer, seconds: float) -> Asked:
    """A question with its answer, as page one has it."""
    best = likeliest(answer)
    bars = tuple(
        Bar(
            label=option, value=probability,
            text=likely(probability) if answer.calibrated else f"likelihood {likely(probability)}",
            interval=answer.interval if option == best and answer.calibrated else None, leading=option == best,
        )
        for option, probability in zip(answer.options, answer.probabilities, strict=True)
    )  # fmt: skip
    lanes = Picture(
        strip(answer, seconds),
        alt=f"The likeliest answer over time, a lane for each: {answered.shares_in_words(answer)}",
    )
    return Asked(question=answer.question, verdict=verdict(answer), bars=bars if answer.trained else (), strip=lanes)


def warnings(found: Gathered) -> tuple[str, ...]:
    """What limits the answers, the worst first: what all have in common once, the rest with the task's name."""
    own = {answer.question: _own(answer, found) for answer in found.answers}
    common = set.intersection(*map(set, own.values())) if own else set()
    lines = [(_rank(note), "", note) for note in dict.fromkeys(note for notes in own.values() for note in notes)
             if note in common]  # fmt: skip
    for question, notes in own.items():
        lines += [(_rank(note), f"{words.task_of(question, found)}: ", note) for note in notes if note not in common]
    lines += [(len(RANKS), "", note) for note in found.notes if note.startswith(GRAVE)]
    return tuple(name + note for _, name, note in sorted(lines, key=lambda line: line[0]))


def _own(answer: Answer, found: Gathered) -> list[str]:
    """Notes about an answer that are none about its recording."""
    return [note for note in answer.notes if note not in found.notes]


def _rank(note: str) -> int:
    return next((rank for rank, begins in enumerate(RANKS) if note.startswith(begins)), len(RANKS) + 1)
