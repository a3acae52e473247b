"""Where open data sets can be downloaded from, and what their terms begin with.

Titles, licences and citations stand in the layouts of ``corpora``, under the same names.
"""

from __future__ import annotations

from dataclasses import dataclass

_ATTRIBUTION = "open data commons attribution license"
_CREATIVE_COMMONS = "creative commons attribution 4.0 international"


@dataclass(frozen=True)
class Site:
    """A published version of a data set, with the checksums of its files in ``SHA256SUMS.txt``."""

    url: str
    """Address of its folder of files."""
    gigabytes: float
    """Size of all files, about."""
    licence: str
    """Words that its ``LICENSE.txt`` holds, in lower case."""
    bucket: str
    """The same folder in object storage, open to all."""

    @property
    def depth(self) -> int:
        """Folders in the URL, which wget is told to leave out."""
        return self.url.rstrip("/").split("://", 1)[1].count("/")


def _physionet(project: str, version: str, gigabytes: float, licence: str) -> Site:
    return Site(
        url=f"https://physionet.org/files/{project}/{version}/",
        gigabytes=gigabytes,
        licence=licence,
        bucket=f"s3://physionet-open/{project}/{version}/",
    )


SITES = {
    "eegmat": _physionet("eegmat", "1.0.0", 0.18, _ATTRIBUTION),
    "hmc": _physionet("hmc-sleep-staging", "1.1", 17, _CREATIVE_COMMONS),
    "eegmmidb": _physionet("eegmmidb", "1.0.0", 3.4, _ATTRIBUTION),
    "siena": _physionet("siena-scalp-eeg", "1.0.0", 20, _CREATIVE_COMMONS),
    "sleep-edf": _physionet("sleep-edfx", "1.0.0", 8.1, _ATTRIBUTION),
}
"""By the name of their layout."""
