"""Errors meant for users: each says what was found and what to do about it.

The command line prints the message of a :class:`NeuroLMError` without a traceback and exits with status 2.
"""


class NeuroLMError(Exception):
    """Something the user can fix. The message names the file or argument, the value found and the remedy."""


class RecordingError(NeuroLMError):
    """A recording that cannot be read, or whose content cannot be EEG as declared."""


class StoreError(NeuroLMError):
    """A store or a folder of recordings that is missing, empty, damaged or of another kind."""


class WriteError(StoreError):
    """A file that cannot be written: no space, no permission. Not the fault of a recording."""


class ConfigError(NeuroLMError, ValueError):
    """A configuration value, recipe or task card that is not valid.

    A ``ValueError`` too: where a dataclass refuses its values, decoding adds the file and the place.
    """


class CheckpointError(NeuroLMError):
    """A checkpoint that is missing, damaged, or of another recipe or stage than needed."""


class TextError(NeuroLMError):
    """A text tokenizer or text folder that is missing, empty or of the wrong size."""


class QuestionError(NeuroLMError):
    """A question that cannot be put to this model or this recording."""


class DownloadError(NeuroLMError):
    """A data set that cannot be fetched: no network, no access, or files that are not what the site promises."""


class Stopped(NeuroLMError):
    """Long work was asked to stop and has saved where it is.

    Attributes
    ----------
    signal
        Number of the signal that asked.
    """

    def __init__(self, message: str, *, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
