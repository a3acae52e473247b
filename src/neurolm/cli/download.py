"""neurolm download eegmat recordings"""

from pathlib import Path
from typing import Annotated, Any

from neurolm.cli.show import Display
from neurolm.cli.values import with_arguments_of
from neurolm.core.terminal import say


@with_arguments_of("neurolm.corpora.download.download:download")
def download(name: Annotated[str, "neurolm.corpora.download.sites:SITES"], out: Path, **how: Any) -> None:
    """Fetch an open data set, with checksums.

    Parameters
    ----------
    name
        Which data set.
    out
        Folder for it; what is there already is not fetched again.
    """
    from neurolm.corpora import LAYOUTS
    from neurolm.corpora.download.download import download

    known = LAYOUTS.get(name)
    if known is not None:
        say(known.title, f"licence: {known.licence}", f"cite: {known.citation}")
    with Display() as display:
        report = download(name, out, **how, progress=display.count("fetching files"))
    for note in report.notes:
        say(f"note: {note}")
    say(
        f"{out}: {report.files} files, {report.gigabytes:.2f} GB, with the checksums that the site promises; "
        f"{report.fetched} were fetched"
    )
    if report.licence is not None:
        say(f"terms: {report.licence}")
    say(f"next: neurolm plan {out}, or neurolm prepare {out} --out STORE")
