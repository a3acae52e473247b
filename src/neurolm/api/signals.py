"""What a model makes of EEG: features, the codes' round trip, seconds that follow, missing electrodes"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neurolm.api.loaded import Loaded
from neurolm.ask import FREE_SECONDS
from neurolm.ask.embedding import Embedding, Embeddings, evidence_columns
from neurolm.ask.recording import ModelInput, Windows
from neurolm.recording.options import BELIEVED, ReadingOptions, Unseen
from neurolm.signals import Method
from neurolm.signals.forecast import Forecast, forecast, require_causal
from neurolm.signals.impute import Imputed, impute
from neurolm.signals.models import to_impute
from neurolm.signals.reconstruct import Reconstructed, longest_window, reconstruct

if TYPE_CHECKING:
    import mne


class Signals(Loaded):
    """A model that makes features of EEG, and EEG."""

    def embed(
        self,
        source: str | Path | mne.io.BaseRaw,
        *,
        seconds: int = FREE_SECONDS,
        stride: float = FREE_SECONDS,
        evidence: bool = False,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Embedding:
        """Features and codes of the frozen encoder, for windows of a recording.

        >>> found = model.embed("recording.edf")
        >>> found.features.mean(axis=(1, 2))  # a vector for each window: float32 (windows, width)

        Parameters
        ----------
        source, reading, unseen
            As for :meth:`ask`.
        seconds
            Length of a window, at most what the encoder was built for (64 in the paper's sizes).
        stride
            Seconds from the start of a window to the start of the next.
        evidence
            Whether to return, too, what the evidence beside the language model says for each option of each task.

        Returns
        -------
        Embedding
            ``features`` float32 (windows, seconds, electrodes, width), ``codes`` int64 (windows, seconds, electrodes),
            ``starts`` float64 (windows,) in seconds, and the names of the ``electrodes`` in their order; with evidence,
            ``evidence`` float32 (windows, columns) in nats, and ``evidence_columns``, as ``workload: Yes``.

        Raises
        ------
        CheckpointError
            If evidence is asked for, and the model has none.
        RecordingError
            As for :meth:`ask`.
        """
        return self.embed_parts(
            source, seconds=seconds, stride=stride, evidence=evidence, reading=reading, unseen=unseen
        ).whole()

    def embed_parts(
        self,
        source: str | Path | mne.io.BaseRaw | ModelInput,
        *,
        seconds: int = FREE_SECONDS,
        stride: float = FREE_SECONDS,
        evidence: bool = False,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Embeddings:
        """The same part by part, for recordings whose features are larger than memory.

        >>> found = model.embed_parts("night.edf")
        >>> found.save("features.npz")  # or look at them one after the other:
        >>> means = np.concatenate([part.features.mean(axis=(1, 2)) for part in found])

        Parameters
        ----------
        source, seconds, stride, evidence, reading, unseen
            As for :meth:`embed`; or what ``ask.recording.read_stored`` takes from a store, which is read already.

        Raises
        ------
        CheckpointError, RecordingError
            As for :meth:`embed`.
        """
        recording = self._opened(source, reading=reading, unseen=unseen)
        windows = Windows.of(recording, seconds=seconds, stride=stride)
        columns = None
        if evidence:
            columns = evidence_columns(self.evidence, self.card.tasks, recording.channels, seconds=windows.seconds)
        return Embeddings(tokenizer=self._encoder(), windows=windows, columns=columns, device=self.device)

    def reconstruct(
        self,
        source: str | Path | mne.io.BaseRaw | ModelInput,
        *,
        seconds: int | None = None,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Reconstructed:
        """Send a recording through the codebook and back, and measure what is lost, by band and electrode.

        >>> found = model.reconstruct("recording.edf")
        >>> {error.band: error.spectrum_db for error in found.overall}

        Parameters
        ----------
        source, reading, unseen
            As for :meth:`ask`.
        seconds
            Length of a window, at most what the encoder was built for; by default that of the tokenizer's training.

        Returns
        -------
        Reconstructed
            ``errors`` and ``overall``: of each electrode and of all, by band, the root mean square difference of the
            log spectra in dB, the correlation of the decoded waveform, and the share of variance that it explains.

        Raises
        ------
        ConfigError
            If the window is longer than the encoder can see.
        RecordingError
            As for :meth:`ask`.
        """
        recording = self._opened(source, reading=reading, unseen=unseen)
        stage, most = self.card.run.tokenizer, self.card.run.model.tokenizer.seconds
        length = longest_window(stage.max_patches, most, len(recording.channels)) if seconds is None else seconds
        return reconstruct(self._whole().tokenizer.to(self.device), recording, seconds=length)

    def forecast(
        self,
        source: str | Path | mne.io.BaseRaw,
        *,
        at: float | None = None,
        seconds: int = 5,
        n: int = 20,
        seed: int = 0,
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Forecast:
        """Sample how a recording may go on after a moment, and score that by how it did.

        >>> found = model.forecast("recording.edf", at=60)
        >>> found.waveform.shape, found.scores[0].spectrum_db    # (samples, seconds · 200, electrodes), dB

        The model of the run's ``pretrain`` stage is asked, where it lies beside: what is tuned on questions no longer
        learns to forecast.

        Parameters
        ----------
        source, reading, unseen
            As for :meth:`ask`. It is cut off at the moment before it is filtered.
        at
            Seconds from the start of the recording; by default its end, with nothing to score.
        seconds, n
            How far, and how many samples.
        seed
            Another one draws other samples.

        Returns
        -------
        Forecast
            ``waveform``, float32 (samples, seconds · 200, electrodes) in µV; ``codes``, int64 (samples, seconds,
            electrodes); ``bands()``, quantiles of log band power; and, where it is known what followed, ``scores`` of
            the model, an AR model, seconds of the past, and the last second again.

        Raises
        ------
        CheckpointError
            If the model's recipe is not causal.
        QuestionError
            If there is nothing right before the moment, or a number is out of range.
        RecordingError
            As for :meth:`ask`.
        """
        require_causal(self.card)
        return forecast(
            self._forecaster(), self.card, source, at=at, seconds=seconds, count=n, seed=seed, reading=reading,
            unseen=unseen,
        )  # fmt: skip

    def impute(
        self,
        source: str | Path | mne.io.BaseRaw,
        channels: Sequence[str],
        *,
        method: Method = "splines",
        reading: ReadingOptions = BELIEVED,
        unseen: Unseen = "nearest",
    ) -> Imputed:
        """Make missing or bad electrodes from the others; those that the recording has are compared with what is made.

        >>> model.impute("recording.edf", ["Cz"]).signal      # float32 (samples at 200 Hz, electrodes), µV

        Parameters
        ----------
        source, reading, unseen
            As for :meth:`ask`; splines use electrodes that the model never saw, too.
        channels
            Electrodes to make.
        method
            ``splines``, spherical splines as MNE has them; or ``model``, these with amplitudes halfway to what the
            tokenizer makes of them.

        Raises
        ------
        QuestionError
            If one is no electrode of a known position, or fewer than four others are there.
        RecordingError
            As for :meth:`ask`.
        """
        recording, seconds = to_impute(source, channels, self.card, method=method, reading=reading, unseen=unseen)
        tokenizer = self._whole().tokenizer.to(self.device) if method == "model" else None
        return impute(recording, channels, method=method, tokenizer=tokenizer, seconds=seconds)
