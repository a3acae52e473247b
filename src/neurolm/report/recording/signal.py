"""What a report says of the signal: channels, quality, traces, spectra, maps, annotations"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurolm.core.amounts import duration, in_words, many
from neurolm.core.physics import RATE
from neurolm.core.table import Cell, Column, Table, columns
from neurolm.recording.checks import readable
from neurolm.recording.electrodes.coverage import Covered
from neurolm.recording.recording import Annotation
from neurolm.report.recording import figures, words
from neurolm.report.recording.blocks import Block, Grid, Paragraph, Picture, Points, Section
from neurolm.report.recording.gather import Gathered
from neurolm.report.recording.rhythm import FEWEST, FITTED, LEAST, SEARCHED, posterior
from neurolm.report.recording.scalp import REGIONS, region, spelt

MOST_CHANNELS = 300
"""Channels that a table has."""
MOST_TEXTS, LONGEST_TEXT = 40, 120
"""Different annotations that a table has, and characters of one."""
SHORT = 60.0
"""Seconds up to which a spectrogram shows nothing that the spectrum does not."""
UNEQUAL = 6.0
"""Decibels between hemispheres from which a difference is said on page one: a factor of two in amplitude."""


def left_out(found: Gathered) -> str:
    """What of the recording's length is not used, to be said behind it."""
    seconds = found.inspection.seconds or 0.0
    lost = [(found.gap_seconds, "in gaps"), (found.bad_seconds, "called bad by its annotations")]
    said = [f"{in_words(length)} ({length / seconds:.0%}) {what}" for length, what in lost if length >= 0.5]
    return f", of which {' and '.join(said)}" if said else ", without a gap"


def bad_channels(found: Gathered) -> list[tuple[str, str]]:
    """Channels of EEG that were left out, with the reason."""
    return [(row.channel, row.detail) for row in found.inspection.coverage if row.how == "left out" and _eeg(row)]


def _eeg(row: Covered) -> bool:
    return row.kind in ("eeg", "unknown") and bool(row.channel)


def in_a_sentence(found: Gathered) -> str:
    """How good the signal is."""
    bad, amplitude = bad_channels(found), found.inspection.amplitude
    channels = "no channel left out" if not bad else (
        f"{many(len(bad), 'channel')} left out: {words.listed([f'{name} ({why})' for name, why in bad], 6)}"
    )  # fmt: skip
    loud = "amplitude unknown" if amplitude is None else f"median amplitude {readable(amplitude)} µV"
    return f"{channels}; {loud}; {found.inspection.mains_how}"


def rhythm_in_words(found: Gathered) -> str:
    """The posterior dominant rhythm, or that there is none."""
    rhythm, spectra = found.rhythm, found.spectra
    members = [spelt(spectra.electrodes[i]) for i in posterior(spectra.electrodes)]
    if not members:
        return "not looked for: no electrode over the back of the head"
    where = words.listed(members, 6)
    if rhythm is None:
        if spectra.segments < FEWEST:
            return "not looked for: the recording is too short to tell a rhythm from chance"
        return f"none: no peak between {SEARCHED[0]:g} and {SEARCHED[1]:g} Hz stands out of the spectrum at {where}"
    slow = ", below the alpha band" if rhythm.frequency < 8 else ""
    sides = ""
    if rhythm.left is not None and rhythm.right is not None:
        sides = f"; left {rhythm.left:.1f}, right {rhythm.right:.1f} Hz"
    unequal = ""
    if rhythm.asymmetry is not None and abs(rhythm.asymmetry) >= UNEQUAL:
        unequal = f"; {abs(rhythm.asymmetry):.0f} dB stronger on the {'right' if rhythm.asymmetry > 0 else 'left'}"
    above = f"{rhythm.above:.0f} dB over the slope of the spectrum"
    return f"{rhythm.frequency:.1f} Hz{slow}, {above} at {where}{sides}{unequal}"


def quality(found: Gathered) -> Section:
    """Channels, traces, and what was noticed."""
    spectra = found.spectra
    length = spectra.excerpt.shape[1] / RATE
    drawn = figures.shown_traces(spectra.electrodes)
    some = "" if len(drawn) == len(spectra.electrodes) else f" {len(drawn)} of {len(spectra.electrodes)} electrodes."
    apart = figures.sensitivity(spectra, drawn)
    blocks: list[Block] = [
        Paragraph(text=f"{in_a_sentence(found)[:1].upper()}{in_a_sentence(found)[1:]}."),
        Picture(
            figures.traces(spectra),
            alt=f"{length:g} seconds of EEG at {duration(spectra.start)}, {len(drawn)} traces",
            caption=f"The most typical {length:g} s: amplitudes nearest to the median of the recording. "
            f"{figures.filtered_words(spectra)}, mains removed, reference as recorded, negative up, traces "
            f"{apart:g} µV apart.{some}",
        ),
        Grid(table=_channels(found), caption=_about_channels(found)),
    ]
    if found.notes:
        blocks.append(Points(title="What was noticed and done when the recording was read", lines=found.notes))
    return Section(title="Signal and quality", blocks=tuple(blocks))


def glance(found: Gathered) -> Picture:
    """The spectrum and where each band is strong, as page one has it."""
    mapped = figures.can_map(found.spectra.electrodes)
    return Picture(
        figures.glance(found.spectra, found.rhythm),
        alt=f"Median spectrum and maps of each band's share; posterior rhythm {rhythm_in_words(found)}",
        caption="Spectra of all electrodes with their median"
        + (", dashed: the posterior rhythm" if found.rhythm else "")
        + (", and the share of each band over the scalp." if mapped else "."),
    )


def _channels(found: Gathered) -> Table:
    used = set(found.answers[0].electrodes) if found.answers else set()
    rows: list[tuple[Cell, ...]] = []
    for row in found.inspection.coverage[:MOST_CHANNELS]:
        kept = row.electrode is not None
        how = row.how if kept and row.how not in ("name", "alias") else ""
        state = (
            f"{how}{': ' if how and row.detail else ''}{row.detail if how else ''}"
            if kept
            else f"left out: {row.detail}"
        )
        rows.append(
            (
                row.channel or "–", spelt(row.electrode) if row.electrode else "–", row.unit or "–",
                None if row.rate is None else f"{row.rate:g}",
                None if row.amplitude is None else readable(row.amplitude), state or "as recorded",
                "yes" if row.electrode in used else "no",
            )
        )  # fmt: skip
    return Table(
        columns=(*columns("channel", "electrode", "unit"), *columns("Hz", "amplitude, µV", form=""),
                 *columns("state", "read by the model")),
        groups=[rows],
    )  # fmt: skip


def _about_channels(found: Gathered) -> str:
    more = len(found.inspection.coverage) - MOST_CHANNELS
    cut = f" {many(more, 'more channel')} not shown." if more > 0 else ""
    return (
        "Amplitude: robust standard deviation of up to a minute, spread over the recording, drift taken away. Read by "
        "the model: as itself; electrodes that stand for others are named in the notes." + cut
    )


def spectra(found: Gathered) -> Section:
    """Spectra, the posterior rhythm, power over time and over the scalp."""
    measured, mains = found.spectra, found.inspection.mains
    rhythm = rhythm_in_words(found)
    line = f", dotted: mains, {mains:g} Hz, removed" if mains is not None else ""
    blocks: list[Block] = [
        Paragraph(text=f"Posterior dominant rhythm: {rhythm}."),
        Picture(
            figures.spectra_lines(measured, found.rhythm, mains),
            alt=f"Power spectra of {many(len(measured.electrodes), 'electrode')}; posterior rhythm {rhythm}",
            caption="Welch's spectra of the whole recording as the model gets it (segments of 4 s, reference as "
            f"recorded); shaded: the bands{line}. A posterior rhythm is a peak between {SEARCHED[0]:g} and "
            f"{SEARCHED[1]:g} Hz at least {LEAST:g} dB over the slope, a line over the logarithm of the frequency "
            f"({FITTED[0]:g}–{FITTED[1]:g} Hz). Whether the eyes were closed is not known here.",
        ),
    ]
    if (found.inspection.seconds or 0.0) >= SHORT:
        blocks.append(
            Picture(
                figures.spectrogram(measured),
                alt="Spectrogram: power over time and frequency, mean of all electrodes",
                caption=f"Power over time, mean of all electrodes, a column for each {measured.step:.3g} s.",
            )
        )
    blocks.append(_maps(found))
    blocks.append(
        Grid(
            table=_bands(found),
            caption="Power in µV² (median of the region's electrodes), and its share of all five bands.",
        )
    )
    return Section(title="Spectra and topography", blocks=tuple(blocks))


def _maps(found: Gathered) -> Block:
    if not figures.can_map(found.spectra.electrodes):
        return Paragraph(
            text=f"No maps of the scalp: they take {figures.LEAST_PLACED} electrodes of known place.", quiet=True
        )
    return Picture(
        figures.band_maps(found.spectra),
        alt="Maps of the power of each band over the scalp; the table below has the numbers",
        caption="Seen from above, nose up; dots are electrodes. Above: power in dB (µV²); below: its share of the five "
        "bands. Each map has a scale of its own. Reference as recorded, which such maps depend on.",
    )  # fmt: skip


def _bands(found: Gathered) -> Table:
    power = found.spectra.bands()
    total = np.maximum(sum(power.values()), 1e-12)
    names = [name for name in power if power[name].any()]
    rows: list[tuple[Cell, ...]] = []
    groups = {name: [i for i, e in enumerate(found.spectra.electrodes) if region(e) == name] for name in REGIONS}
    groups["other"] = [i for i, e in enumerate(found.spectra.electrodes) if region(e) is None]
    for name, members in groups.items():
        if members:
            cells = [
                f"{readable(float(np.median(power[band][members])))} "
                f"({np.median(power[band][members] / total[members]):.0%})"
                for band in names
            ]
            rows.append((name, words.listed([spelt(found.spectra.electrodes[i]) for i in members], 8), *cells))
    return Table(columns=(*columns("region", "electrodes"), *columns(*names, form="")), groups=[rows])


def annotated(found: Sequence[Annotation]) -> Section:
    """What the file says about stretches of time, counted by its words."""
    kinds: dict[str, list[Annotation]] = {}
    for one in found:
        kinds.setdefault(one.text, []).append(one)
    ranked = sorted(kinds, key=lambda text: (-len(kinds[text]), min(one.onset for one in kinds[text])))
    rows = [
        (
            text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…", len(kinds[text]),
            duration(min(one.onset for one in kinds[text])),
            in_words(sum(one.duration for one in kinds[text])) if any(one.duration for one in kinds[text]) else "–",
        )
        for text in ranked[:MOST_TEXTS]
    ]  # fmt: skip
    more = f" {len(ranked) - MOST_TEXTS} other texts are not shown." if len(ranked) > MOST_TEXTS else ""
    return Section(
        title="Annotations of the file",
        blocks=(
            Grid(
                table=Table(columns=(Column(head="text"), Column(head="how often", form=",d"),
                                     *columns("first at", "together", form="")), groups=[rows]),
                caption=f"{many(len(found), 'annotation')}, in the words of the file, which may name people: leave "
                f"them out before the report goes to others who may not read that.{more}",
            ),
        ),
    )  # fmt: skip
