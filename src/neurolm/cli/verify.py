"""neurolm verify official/golden"""

from pathlib import Path

from neurolm.cli.values import Machine
from neurolm.core.terminal import say


def verify(folder: Path, *, gpt2: str | None = None, threads: int = 0) -> bool:
    """Compare this implementation with the authors' numbers.

    The exit status is 0 if all agree, 1 if one differs.

    Parameters
    ----------
    folder
        Proof data, such as official/golden.
    gpt2
        Folder or hub id of GPT-2's text tokenizer; by default gpt2/ beside the folder.
    threads
        CPU threads; 0: one per core.
    """
    Machine(threads=threads).set_threads()

    from neurolm.official.verify import verify

    lines = verify(folder, gpt2=gpt2, progress=lambda line: say(line))
    wrong = [line.name for line in lines if not line.holds]
    if wrong:
        say(f"neurolm: {len(wrong)} of {len(lines)} quantities differ: {', '.join(wrong)}", error=True)
    else:
        largest = max(line.error for line in lines)
        say(f"all {len(lines)} quantities agree; the largest relative error is {largest:.1e}")
    return not wrong
