"""What EEG looks like, in numbers with their sources: all that the simulator knows about brains.

Amplitudes are microvolts at the electrode where a source is largest, before re-referencing: root mean square for
ongoing rhythms, peak to peak for single waves. Frequencies are in Hz, times in seconds, rates per minute. A pair is the
range from which a value is drawn afresh for every stretch of recording (a 30 s epoch of sleep, 10 s elsewhere). Ranges
of neighbouring conditions overlap on purpose, as they do in people.

Sources
-------
AASM          Berry et al. 2020, The AASM Manual for the Scoring of Sleep and Associated Events, version 2.6.
Barry 2007    Barry, Clarke, Johnstone, Magee, Rushby, Clin Neurophysiol 118:2765 (eyes closed against open).
Bentivoglio   Bentivoglio et al. 1997, Mov Disord 12:1028 (about 17 blinks per minute at rest).
Colrain 2005  Sleep 28:255 (the K-complex).
Donoghue 2020 Nat Neurosci 23:1655 (aperiodic exponents of about 1 to 2).
Gevins 1997   Cereb Cortex 7:374 (frontal-midline theta rises, alpha falls with load).
Goncharova    Goncharova et al. 2003, Clin Neurophysiol 114:1580 (muscle in EEG: temporal sites, 20 Hz and above).
Hirsch 2021   J Clin Neurophysiol 38:1 (ACNS terminology: rhythmic and polymorphic delta up to 4 Hz, spike-and-wave).
Iwasaki 2005  Clin Neurophysiol 116:878 (topography and size of blinks and saccades).
Kane 2017     Clin Neurophysiol Pract 2:170 (IFCN glossary: spike 20-70 ms, sharp wave 70-200 ms, 3 Hz complexes).
Klimesch 1999 Brain Res Rev 29:169 (individual alpha frequency; alpha and theta with cognitive load).
Lendner 2020  eLife 9:e55092 (the spectrum steepens from wake to deep sleep).
Massimini2004 J Neurosci 24:6862 (slow waves of sleep: frontal, about 0.8 Hz).
Mitchell 2008 Prog Neurobiol 86:156 (frontal-midline theta in mental arithmetic).
Frauscher2020 J Neurosci 40:8900 (sawtooth waves of REM sleep, 2-5 Hz in bursts, fronto-central).
Purcell 2017  Nat Commun 8:15930 (sleep spindles: frequency, duration, density).
TUSL          von Weltin et al. 2017, IEEE SPMB (background, seizure and slowing in 10 s segments).
Zyma 2019     Data 4(1):14 (EEG during mental arithmetic, PhysioNet EEGMAT).
"""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]
"""Lowest and highest value of something that varies, drawn uniformly."""
NEVER: Range = (0.0, 0.0)

MAINS = 50.0
"""Hz; the simulated clinic stands in Europe."""


# ----------------------------------------------------------------------------------------------------- anatomy


@dataclass(frozen=True)
class Region:
    """An equivalent dipole: below the mean of some electrodes, pointing outwards.

    Attributes
    ----------
    electrodes
        10-05 names whose mean direction is the region's direction from the centre of the head.
    depth
        Distance from the centre as a fraction of the head's radius. A patch of cortex looks like a dipole below itself,
        so the larger the patch the smaller the number; the brain's surface lies at 0.90.
    cortex
        False for eyes and muscles: they sit where they sit, whereas the folds of cortex differ from person to person.
    """

    electrodes: tuple[str, ...]
    depth: float = 0.62
    cortex: bool = True


REGIONS: dict[str, Region] = {
    "frontal midline": Region(("Fz", "FCz")),
    "frontal left": Region(("F3",)),
    "frontal right": Region(("F4",)),
    "central left": Region(("C3",)),
    "central right": Region(("C4",)),
    "vertex": Region(("Cz",), 0.48),  # vertex waves reach well to both sides
    "temporal left": Region(("T3",)),
    "temporal right": Region(("T4",)),
    "anterior temporal left": Region(("F7", "T3")),
    "anterior temporal right": Region(("F8", "T4")),
    "parietal": Region(("Pz",), 0.58),
    "parietal left": Region(("P3", "T5")),
    "parietal right": Region(("P4", "T6")),
    "occipital left": Region(("O1",)),
    "occipital right": Region(("O2",)),
    # Slow waves of sleep and generalised slowing synchronise most of the convexity, largest in front (Massimini2004).
    "frontal convexity": Region(("AFz", "Fz", "FCz"), 0.45),
    "convexity": Region(("Cz", "CPz"), 0.40),
    # The eyeballs are dipoles outside the brain; below the orbits' margin the sphere model sees them like this.
    "eye left": Region(("Fp1", "AF7", "Nz"), 0.72, cortex=False),
    "eye right": Region(("Fp2", "AF8", "Nz"), 0.72, cortex=False),
    # Temporalis muscle lies right under F7-T3 and F8-T4 (Goncharova).
    "muscle left": Region(("F7", "T3"), 0.85, cortex=False),
    "muscle right": Region(("F8", "T4"), 0.85, cortex=False),
    "muscle frontal": Region(("Fp1", "Fp2", "AFz"), 0.85, cortex=False),
}
"""Named sources. Every figure of this file that says where something happens uses these names."""

BACKGROUND_SOURCES = 160
"""Dipoles spread evenly over the convexity that make the ongoing, unsynchronised activity."""
BACKGROUND_DEPTH: Range = (0.55, 0.84)

FOCI = (
    "anterior temporal left",
    "anterior temporal right",
    "temporal left",
    "temporal right",
    "frontal left",
    "frontal right",
    "parietal left",
    "parietal right",
)
"""Where focal epilepsies and lesions show; temporal ones are the most frequent, hence four of the eight places."""


# ------------------------------------------------------------------------------------------------------ people


@dataclass(frozen=True)
class People:
    """How people differ. Spreads are standard deviations, of the natural logarithm where the median is a factor."""

    amplitude_spread: float = 0.22  # skull, scalp and hair: all brain activity of a person is larger or smaller
    amplitude_limits: Range = (0.65, 1.4)  # beyond, amplitude criteria such as the 75 µV of slow waves would mislead
    alpha_hz: float = 10.0  # Klimesch 1999
    alpha_hz_spread: float = 0.9
    alpha_hz_limits: Range = (8.0, 12.0)
    alpha: float = 16.0  # µV at O1/O2, eyes closed
    alpha_spread: float = 0.40  # a few people have hardly any
    alpha_width: Range = (0.5, 0.9)  # Hz, standard deviation of the peak: the wider, the faster it waxes and wanes
    exponent: float = 1.35  # Donoghue 2020
    exponent_spread: float = 0.15
    midline_theta_spread: float = 0.25
    spindle_hz: float = 13.2  # Purcell 2017
    spindle_hz_spread: float = 0.6
    electrode_jitter: float = 0.045  # radians, about 4 mm on the scalp
    source_jitter: float = 0.06  # radians: gyri differ
    tilt: float = 0.10  # tangential share of a source's direction: cortex folds
    depth_spread: float = 0.03  # of the head's radius: heads and skulls differ in size and thickness
    sensor_noise: Range = (0.3, 0.8)  # µV
    line_noise: float = 1.2  # µV, median over people
    line_noise_spread: float = 0.5
    drift: Range = (4.0, 14.0)  # µV below 0.3 Hz: sweat and electrode potentials


PEOPLE = People()


# ------------------------------------------------------------------------------------------------- single waves


@dataclass(frozen=True)
class Wave:
    """A transient: how large, how long, and (where it oscillates) how fast."""

    microvolts: Range
    seconds: Range
    hz: Range = NEVER


BLINK = Wave((90.0, 220.0), (0.18, 0.40))  # Fp1/Fp2, positive (Iwasaki 2005)
SACCADE = Wave((70.0, 200.0), (0.25, 0.6))  # rapid eye movements: initial deflection under 0.5 s (AASM)
ROLLING = Wave((30.0, 90.0), (2.0, 4.5))  # slow eye movements of drowsiness: initial deflection over 0.5 s (AASM)
MUSCLE = Wave((6.0, 22.0), (0.3, 2.5), (20.0, 70.0))  # RMS (Goncharova)
VERTEX_WAVE = Wave((50.0, 110.0), (0.15, 0.35))  # sharp, central, under 0.5 s (AASM)
SPINDLE = Wave((30.0, 80.0), (0.5, 1.8), (11.0, 16.0))  # at least 0.5 s (AASM), density Purcell 2017
K_COMPLEX = Wave((90.0, 190.0), (0.6, 1.1))  # negative then positive, at least 0.5 s (AASM, Colrain 2005)
SLOW_WAVE = Wave((105.0, 230.0), (0.6, 1.6))  # 0.5-2 Hz, more than 75 µV peak to peak in front (AASM)
SLOW_WAVE_MINIMUM = 105.0
"""µV; slow waves never get smaller than this at their maximum, so that they stay above 75 µV at F4-M1."""
SAWTOOTH = Wave((30.0, 70.0), (1.5, 5.0), (2.0, 5.5))  # trains of triangular waves (AASM, Frauscher2020)
SPIKE = Wave((65.0, 160.0), (0.05, 0.12))  # spike to sharp wave (Kane 2017)
AFTER_WAVE = Wave((0.45, 0.95), (0.20, 0.34))  # slow wave after the spike; its size as a share of the spike's
COMPLEX_HZ: Range = (2.6, 3.6)  # repetition of spike-and-slow-wave complexes in runs (Kane 2017)


# ------------------------------------------------------------------------------------------------------- states


@dataclass(frozen=True, kw_only=True)
class BrainState:
    """What goes on in one condition. Everything that is not said does not happen.

    Ongoing activity (µV, root mean square)
        ``background`` is 1/f with the person's exponent, ``steep`` 1/f with an exponent larger by ``STEEPER`` (sleep
        and slowing tilt the spectrum, Lendner 2020), ``theta`` 4-7 Hz and ``beta`` 14-30 Hz everywhere,
        ``midline_theta`` 5-7 Hz at the frontal midline, ``alpha`` a share of the person's own posterior alpha.
    Shares of time
        ``alpha_time`` with alpha, ``eyes_open`` with open eyes, ``slow_waves`` covered by slow waves, ``runs`` covered
        by runs of spike-and-wave, ``slowing_time`` with slowing.
    Rates per minute
        of the transients of the same name; ``blinks`` count while the eyes are open.
    Slowing
        ``focal_slowing`` and ``general_slowing``, µV root mean square, 1-4 Hz and irregular.
    """

    background: Range
    steep: Range = NEVER
    alpha: Range = NEVER
    alpha_time: Range = NEVER
    theta: Range = NEVER
    beta: Range = NEVER
    midline_theta: Range = NEVER
    eyes_open: Range = NEVER
    slow_waves: Range = NEVER
    runs: Range = NEVER
    slowing_time: Range = NEVER
    focal_slowing: Range = NEVER
    general_slowing: Range = NEVER
    blinks: Range = NEVER
    muscle: Range = NEVER
    saccades: Range = NEVER
    rolling: Range = NEVER
    vertex_waves: Range = NEVER
    spindles: Range = NEVER
    k_complexes: Range = NEVER
    sawtooth: Range = NEVER
    spikes: Range = NEVER


STEEPER = 1.4
"""Added to the exponent for the ``steep`` background: mixing the two gives any slope in between."""
REACTIVITY: Range = (0.2, 0.45)
"""Posterior alpha that is left when the eyes open (Barry 2007)."""
THETA_BAND: Range = (4.0, 7.0)
MIDLINE_THETA_BAND: Range = (5.0, 7.0)
BETA_BAND: Range = (14.0, 30.0)
SLOWING_BAND: Range = (1.0, 4.0)

SLEEP: dict[str, BrainState] = {
    # Alpha in more than half of the epoch with closed eyes, or blinks with open ones; beta and muscle tone (AASM).
    "Wake": BrainState(
        background=(5.5, 9.0),
        alpha=(0.7, 1.3),
        alpha_time=(0.55, 0.95),
        theta=(1.0, 2.8),
        beta=(1.8, 3.4),
        eyes_open=(0.0, 0.35),
        blinks=(10.0, 22.0),
        muscle=(1.0, 7.0),
        rolling=(0.0, 1.5),
    ),
    # Alpha drops out of more than half of the epoch; low-amplitude mixed frequency, vertex waves, rolling eyes (AASM).
    "NREM-1": BrainState(
        background=(5.5, 9.0),
        steep=(2.5, 7.0),
        alpha=(0.4, 0.9),
        alpha_time=(0.05, 0.42),
        theta=(3.5, 7.5),
        beta=(1.0, 2.4),
        muscle=(0.0, 3.0),
        rolling=(2.0, 6.0),
        vertex_waves=(2.0, 8.0),
        spindles=(0.0, 0.6),
    ),
    # Spindles and K-complexes; slow waves in less than a fifth of the epoch (AASM).
    "NREM-2": BrainState(
        background=(5.0, 8.5),
        steep=(4.5, 12.0),
        theta=(3.0, 6.5),
        beta=(0.8, 1.8),
        slow_waves=(0.0, 0.12),
        spindles=(3.0, 9.0),
        k_complexes=(1.0, 4.5),
        vertex_waves=(0.0, 1.0),
        muscle=(0.0, 1.0),
    ),
    # Slow waves above 75 µV in at least a fifth of the epoch; spindles may persist (AASM).
    "NREM-3": BrainState(
        background=(5.0, 8.0),
        steep=(6.5, 14.0),
        theta=(3.0, 6.0),
        beta=(0.6, 1.4),
        slow_waves=(0.22, 0.75),
        spindles=(0.5, 5.0),
        k_complexes=(0.0, 1.5),
    ),
    # Low-amplitude mixed frequency, sawtooth waves, rapid eye movements, no tone; some slow alpha remains (AASM).
    "REM": BrainState(
        background=(5.0, 8.0),
        steep=(0.5, 4.0),
        alpha=(0.15, 0.5),
        alpha_time=(0.0, 0.3),
        theta=(2.5, 6.0),
        beta=(1.2, 2.8),
        sawtooth=(1.5, 6.0),
        saccades=(8.0, 28.0),
        muscle=(0.0, 0.6),
    ),
}
"""Sleep stages of the HMC task."""

NIGHT = (
    ("Wake", 3),
    ("NREM-1", 2),
    ("NREM-2", 2),
    ("NREM-3", 4),
    ("NREM-2", 2),
    ("REM", 4),
    ("NREM-1", 2),
    ("Wake", 1),
)
"""A night in brief: stages in a plausible order with their 30 s epochs; one epoch more or less by chance."""

_ROUTINE = {
    # A clinical recording whatever the diagnosis: eyes open and closed, drowsy moments, artifacts.
    "background": (6.0, 11.0),
    "alpha": (0.5, 1.1),
    "alpha_time": (0.3, 0.9),
    "theta": (1.5, 5.0),
    "beta": (1.2, 3.0),
    "eyes_open": (0.0, 0.7),
    "blinks": (10.0, 24.0),
    "muscle": (0.0, 10.0),
    "saccades": (0.0, 4.0),
}

EVENTS: dict[str, BrainState] = {
    "background": BrainState(**_ROUTINE, steep=(0.0, 7.0), slowing_time=(0.0, 0.3), general_slowing=(0.0, 12.0)),
    # Runs of complexes at about 3 Hz, or repetitive single ones, in the person's focus (Kane 2017, Hirsch 2021).
    "epileptiform": BrainState(**_ROUTINE, steep=(0.0, 7.0), runs=(0.0, 0.7), spikes=(20.0, 66.0)),
    # Polymorphic delta and theta, over the focus or everywhere; the alpha rhythm suffers (Hirsch 2021, TUSL).
    "slowing": BrainState(
        **{**_ROUTINE, "alpha": (0.3, 0.9), "theta": (3.0, 8.0)},
        steep=(1.0, 9.0),
        slowing_time=(0.5, 1.0),
        focal_slowing=(11.0, 36.0),
        general_slowing=(3.0, 26.0),
    ),
}
"""Event types as in TUSL, with epileptiform runs for its seizures."""

WORKLOAD: dict[str, BrainState] = {
    "No": BrainState(
        background=(6.0, 9.0),
        alpha=(0.7, 1.2),
        alpha_time=(0.6, 0.98),
        theta=(1.5, 3.5),
        midline_theta=(1.5, 4.0),
        beta=(1.5, 3.0),
        eyes_open=(0.0, 0.3),
        blinks=(8.0, 20.0),
        muscle=(0.0, 4.0),
    ),
    # Frontal-midline theta up, posterior alpha down, beta slightly up (Gevins 1997, Klimesch 1999, Mitchell 2008).
    "Yes": BrainState(
        background=(6.0, 9.0),
        alpha=(0.25, 0.65),
        alpha_time=(0.25, 0.6),
        theta=(1.5, 3.5),
        midline_theta=(5.0, 10.0),
        beta=(1.8, 3.4),
        eyes_open=(0.0, 0.3),
        blinks=(5.0, 18.0),
        muscle=(0.0, 5.0),
    ),
}
"""Rest and mental arithmetic as in EEGMAT (Zyma 2019)."""
