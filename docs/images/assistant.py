"""The pictures and the example of docs/assistants.md, as the tools give them to an assistant.

    python docs/images/assistant.py RUN --store STORE --folder EEGMAT

RUN is a fold of EEGMAT (benchmarks/folds.py) and STORE what it was trained on: asked is the first of its test people,
whom it never saw. Printed is what the tools say; the pictures are theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import ImageContent, TextContent

import neurolm
from neurolm.assistant.desk import Desk
from neurolm.assistant.folder import Recordings
from neurolm.assistant.tools import make_server
from neurolm.batches.splits import split_folds, subjects_of
from neurolm.store.store import Store

OUT = Path(__file__).parent


async def main(run: Path, store: Path, folder: Path) -> None:
    """Call the tools, print what they say, keep two pictures."""
    model = neurolm.load(run)
    task = model.card.tasks[0]
    person = sorted(split_folds(subjects_of(Store(store), task.name), task.split_fold).test)[0].rpartition("/")[2]
    rest, counting = f"{person}_1.edf", f"{person}_2.edf"
    question = task.question
    async with Client(make_server(Desk(lambda: model, Recordings(folder)))) as client:

        async def call(tool: str, picture: str | None = None, **arguments: Any) -> None:
            result = await client.call_tool(tool, arguments)
            given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            print(f"\n{tool}({given})")
            for block in result.content:
                if isinstance(block, TextContent):
                    print(block.text)
                elif isinstance(block, ImageContent) and picture:
                    (OUT / picture).write_bytes(base64.b64decode(block.data))

        await call("ask", file=counting, question=question)
        await call("ask", file=counting, question=question, risk=0.1)
        await call("ask", file=counting, question="Is this person asleep?", options=["asleep", "awake"])
        await call("compare", file_a=rest, file_b=counting, question=question)
        await call("timeline", "assistant_timeline.png", file=counting, question=question)
        await call("look", "assistant_look.png", file=counting, start=20, seconds=10)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(main(given.run, given.store, given.folder))
