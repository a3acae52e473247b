"""What is nearest in a table of features, against a sorting of all cosines; and its picture."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

import neurolm
from neurolm.archive.embed import embed_archive
from neurolm.ask import vectors as rows_module
from neurolm.ask.nearest import moment, nearest, query_of
from neurolm.cli import main
from neurolm.core.errors import ConfigError, QuestionError, StoreError
from neurolm.report.drawings.vectors import LONGEST, UNKNOWN, colourings, draw_vectors, scatter


@pytest.fixture(scope="module")
def table(micro_run, tmp_path_factory):
    """Windows of the micro store, in row groups of 16, so that several are read."""
    out, threads = tmp_path_factory.mktemp("nearest") / "features.parquet", torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "ROWS", 16)
        embed_archive(micro_run.store, model=micro_run.folder, out=out, seconds=4, stride=4, jobs=1)
    torch.set_num_threads(threads)
    return out


def test_the_nearest_are_those_of_all_cosines(table):
    rows = parquet.read_table(table).to_pylist()
    assert parquet.ParquetFile(table).num_row_groups > 3
    vectors = np.array([row["vector"] for row in rows], np.float64)
    expected = cosine_similarity(vectors - vectors.mean(axis=0))
    place = next(n for n, row in enumerate(rows) if row["recording"].endswith("workload-03")) + 2
    name, subject = rows[place]["recording"], rows[place]["subject"]
    assert rows[place]["start"] == 8.0
    left_out = {
        "nothing": [False] * len(rows),
        "itself": [n == place for n in range(len(rows))],
        "recording": [row["recording"] == name for row in rows],
        "subject": [row["subject"] == subject for row in rows],
    }
    assert sum(left_out["subject"]) > sum(left_out["recording"]) > 1
    for apart, out in left_out.items():
        similar = np.where(out, -np.inf, expected[place])
        found = nearest(table, name, at=9.5, count=7, apart=apart)
        best = np.sort(similar)[::-1][:7]
        assert [one.similarity for one in found] == pytest.approx(best.tolist(), abs=1e-5)
        first = rows[int(similar.argmax())]
        assert (found[0].recording, found[0].start, list(found[0].labels)) == (
            first["recording"], first["start"], first["labels"],
        )  # fmt: skip
    (itself,) = nearest(table, "workload-03", at=9.5, count=1, apart="nothing")
    assert (itself.recording, itself.start) == (name, 8.0) and itself.similarity == pytest.approx(1)
    assert {one.recording for one in nearest(table, vectors[place], count=1)} == {name}


def test_a_recording_is_the_mean_of_its_rows(table):
    query = query_of(table, "workload-03")
    rows = [row for row in parquet.read_table(table).to_pylist() if row["recording"] == query.recording]
    np.testing.assert_allclose(query.vector, np.mean([row["vector"] for row in rows], axis=0), atol=1e-6)
    assert (query.start, query.stop, query.subject) == (0.0, 24.0, "s03")
    assert query.recording not in {one.recording for one in nearest(table, "workload-03", count=500)}


def test_what_is_not_in_the_table_is_said(table, tmp_path):
    with pytest.raises(QuestionError, match=r"nobody\.edf: the table .* has no such recording"):
        nearest(table, "nobody.edf")
    with pytest.raises(QuestionError, match="no row of the table holds second 99; give one between 0 and 24"):
        nearest(table, "workload-03", at=99)
    with pytest.raises(ConfigError, match="vectors of 16 numbers"):
        nearest(table, np.zeros(3))
    with pytest.raises(ConfigError, match="apart='people'"):
        nearest(table, "workload-03", apart="people")
    with pytest.raises(StoreError, match="no such file"):
        nearest(tmp_path / "none.parquet", "workload-03")
    parquet.write_table(parquet.read_table(table).select(["recording"]), tmp_path / "other.parquet")
    with pytest.raises(StoreError, match="no table of features"):
        nearest(tmp_path / "other.parquet", "workload-03")


def test_the_command_finds_what_is_like_a_file_that_the_table_has_not(table, micro_run, tmp_path, write_edf, capsys):
    file, model = tmp_path / "new.edf", ["--model", str(micro_run.folder)]
    write_edf(file, seed=3)
    assert main(["nearest", str(table), "--to", f"{file}@5", "--count", "3", "--json", *model]) == 0
    found = json.loads(capsys.readouterr().out)
    vector = neurolm.load(micro_run.folder).embed(file, reading=neurolm.ReadingOptions(unknown="nearest"))
    expected = nearest(table, vector.features[1].mean(axis=(0, 1)), count=3)
    assert [one["recording"] for one in found] == [one.recording for one in expected]
    assert [one["similarity"] for one in found] == pytest.approx([one.similarity for one in expected], abs=1e-5)
    assert main(["nearest", str(table), "--to", "workload-03@9", "--apart", "subject"]) == 0
    printed = capsys.readouterr().out
    assert "similarity" in printed and "workload" in printed and "s03" not in printed
    assert main(["nearest", str(table), "--to", "nowhere.edf", *model]) == 2
    assert "nowhere.edf: neither a recording of" in capsys.readouterr().err
    assert main(["nearest", str(table), "--to", f"{file}@900", *model]) == 2
    assert "no window holds second 900" in capsys.readouterr().err


def test_whose_recordings_they_are_can_be_said(table, tmp_path, capsys):
    """A table that knows nobody refuses to leave a person out, until an expression finds people in the names."""
    rows = parquet.read_table(table)
    place, none = rows.column_names.index("subject"), pyarrow.nulls(len(rows), pyarrow.string())
    nobody = tmp_path / "nobody.parquet"
    parquet.write_table(rows.set_column(place, "subject", none), nobody)
    with pytest.raises(QuestionError, match="not known whose recordings these are, so that apart='subject' cannot"):
        nearest(nobody, "workload-03", apart="subject")
    by_name, known = (
        nearest(one, "workload-03", count=400, apart="subject", subject=expression)
        for one, expression in ((nobody, "-([0-9]+)$"), (table, None))
    )
    assert [one.recording for one in by_name] == [one.recording for one in known] and len(known) < len(rows)
    with pytest.raises(QuestionError, match="not known whose the query is"):
        nearest(table, np.zeros(known_width(rows)), apart="subject")
    with pytest.raises(ConfigError, match="not found in"):
        nearest(nobody, "workload-03", apart="subject", subject="nobody-([0-9]+)$")
    assert main(["nearest", str(nobody), "--to", "workload-03", "--apart", "subject"]) == 2
    assert "a person out: say it with --subject, an expression whose group" in capsys.readouterr().err
    assert main(["nearest", str(nobody), "--to", "workload-03", "--apart", "subject", "--subject=-([0-9]+)$"]) == 0


def known_width(rows):
    return len(rows["vector"][0].as_py())


def test_moments_are_told_from_names():
    assert moment("a@b/c.edf@30.5") == ("a@b/c.edf", 30.5) and moment("c.edf") == ("c.edf", None)
    assert moment("a@b.edf") == ("a@b.edf", None)


def test_a_table_is_drawn_by_subject_and_label(table, tmp_path):
    picture = draw_vectors(table, tmp_path / "picture.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.read_bytes() == draw_vectors(table, tmp_path / "again.png").read_bytes()
    rows = parquet.read_table(table).to_pylist()
    found = colourings(rows)
    assert list(found) == ["by subject", "by label of events", "by label of workload"]
    assert {"Yes", "No", UNKNOWN} == set(found["by label of workload"])
    alone = colourings([row | {"subject": None, "labels": []} for row in rows])
    assert list(alone) == ["by recording"] and set(alone["by recording"]) == {row["recording"] for row in rows}
    paths = [f"/a/long/folder/of/an/archive/sub-{n}_eeg.edf" for n in range(3)]
    (panel,) = scatter(np.eye(3)[:, :2], ("x", "y"), {"by recording": paths}).axes
    shown = [text.get_text() for text in panel.get_legend().get_texts()]
    assert [len(text) for text in shown] == [LONGEST] * 3 and shown[2].endswith("/sub-2_eeg.edf")
