"""Links and pointers of git-annex, DataLad and Git LFS that lead to nothing: said, with the command that helps."""

import pytest

from neurolm.core.errors import RecordingError
from neurolm.recording.inspect import inspect
from neurolm.recording.recording import find_recordings, open_recording

KEY = ".git/annex/objects/xx/yy/MD5E-s123--abc.edf/MD5E-s123--abc.edf"
ANNEX = r"a\.edf: .*a file that is not there.*git annex get 'a\.edf', or datalad get 'a\.edf'"


@pytest.mark.parametrize("target", [f"../../{KEY}", f"/data/set/{KEY}"])
def test_a_link_to_nothing(tmp_path, target):
    file = tmp_path / "a.edf"
    file.symlink_to(target)
    with pytest.raises(RecordingError, match=ANNEX):
        open_recording(file)
    (problem,) = inspect(file).problems
    assert problem.startswith("a link to a file that is not there (")
    assert find_recordings(tmp_path) == [file]  # so that it is put down, not passed over


def test_a_link_to_nothing_that_is_not_the_annex(tmp_path):
    (tmp_path / "a.edf").symlink_to("moved/a.edf")
    with pytest.raises(RecordingError, match=r"a link to a file that is not there \(moved/a\.edf\): correct the link"):
        open_recording(tmp_path / "a.edf")


@pytest.mark.parametrize(
    "content",
    [f"../../{KEY}", f"../../{KEY}\n", "/annex/objects/MD5E-s49792--01.edf\n", rf"..\{KEY}".replace("/", "\\")],
)
def test_a_pointer_in_place_of_the_file(tmp_path, content):
    (tmp_path / "a.edf").write_text(content)
    with pytest.raises(RecordingError, match=ANNEX):
        open_recording(tmp_path / "a.edf")


def test_a_pointer_of_git_lfs(tmp_path):
    (tmp_path / "a.edf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(RecordingError, match=r"a\.edf: a pointer of Git LFS .*git lfs pull --include 'a\.edf'"):
        open_recording(tmp_path / "a.edf")


@pytest.mark.parametrize(("main", "part"), [("a.set", "a.fdt"), ("a.lay", "a.dat"), ("a.cdt", "a.cdt.dpa")])
def test_a_part_of_a_recording(tmp_path, main, part):
    (tmp_path / main).write_bytes(b"x" * 5000)
    (tmp_path / part).symlink_to(f"../{KEY}")
    with pytest.raises(RecordingError, match=rf"{part}: a link to a file that is not there"):
        open_recording(tmp_path / main)


def test_samples_of_a_wfdb_record(tmp_path):
    (tmp_path / "a.hea").write_text("a 1 250 1000\na.dat 16 200/uV 16 0 0 0 0 Cz\n")
    (tmp_path / "a.dat").symlink_to(f"../{KEY}")
    with pytest.raises(RecordingError, match=r"a\.dat: a link to a file that is not there"):
        open_recording(tmp_path / "a.hea")


def test_a_part_inside_a_folder(tmp_path):
    (tmp_path / "a.mff").mkdir()
    (tmp_path / "a.mff" / "signal1.bin").symlink_to(f"../../{KEY}")
    with pytest.raises(RecordingError, match=r"signal1\.bin: a link to a file that is not there"):
        open_recording(tmp_path / "a.mff")
