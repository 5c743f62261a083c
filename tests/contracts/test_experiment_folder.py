"""Does a run folder appear whole or not at all, and is nothing else ever replaced?"""

import json

import numpy as np
import pandas as pd
import pytest

from fusiondx.errors import RunError
from fusiondx.experiment.folder import FORMAT, MANIFEST, file_names, need_run, staged
from fusiondx.experiment.tables import write_csv


def finished(folder, **more):
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text(json.dumps({"format": FORMAT, "models": {}, **more}))
    return folder


def test_it_appears_when_finished(tmp_path):
    out = tmp_path / "deep" / "run"
    with staged(out) as stage:
        (stage / "x").write_text("1")
        assert not out.exists()
    assert (out / "x").read_text() == "1"
    assert [p.name for p in out.parent.iterdir()] == ["run"]


def stop_halfway(out, error):
    with staged(out, overwrite=True) as stage:
        (stage / "x").write_text("1")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_leaves_nothing_when_stopped(tmp_path, error):
    out = finished(tmp_path / "run", title="old")
    with pytest.raises(error):
        stop_halfway(out, error)
    assert need_run(out)["title"] == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_an_empty_folder_is_taken(tmp_path):
    with staged(tmp_path / "run") as stage:
        (tmp_path / "run").mkdir()
        (stage / "x").touch()
    assert (tmp_path / "run" / "x").exists()


def test_a_finished_run_is_replaced_only_when_asked(tmp_path):
    out = finished(tmp_path / "run")
    with pytest.raises(RunError, match="--overwrite"), staged(out):
        pass
    with staged(out, overwrite=True) as stage:
        (stage / "new").touch()
    assert [p.name for p in out.iterdir()] == ["new"]


def test_nothing_but_a_run_is_ever_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").touch()
    (tmp_path / "file").touch()
    for name in ("photos", "file"):
        with pytest.raises(RunError, match="not a run folder"), staged(tmp_path / name, overwrite=True):
            pass
    assert (tmp_path / "photos" / "1.jpg").exists()


def test_what_a_user_put_beside_a_run_is_kept(tmp_path):
    out = finished(tmp_path / "run")
    (out / "notes.txt").touch()
    with pytest.raises(RunError, match=r"notes\.txt"), staged(out, overwrite=True):
        pass
    assert (out / "notes.txt").exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"), staged(tmp_path / "file" / "run"):
        pass


def test_what_is_no_run_is_told_with_its_neighbour(tmp_path):
    finished(tmp_path / "glioma")
    with pytest.raises(RunError, match=r"not a run folder.*Did you mean 'glioma'"):
        need_run(tmp_path / "gliona")
    (tmp_path / "glioma" / MANIFEST).write_text('{"format": 99}')
    with pytest.raises(RunError, match="format 99"):
        need_run(tmp_path / "glioma")


def test_file_names_are_safe_and_different():
    names = ["a/b", "a b", "A-B", "../x", "..", "", "über (1)", "a.b"]
    files = file_names(names)
    assert list(files) == names
    assert len({file.casefold() for file in files.values()}) == len(names)
    assert not any(set(file) & set('/\\:*?"<>| ') or file.startswith(".") for file in files.values())


def test_no_cell_is_a_formula(tmp_path):
    hostile = ["=1+1", "+1+1", "-1+1", "@sum", "\tx", "\r=1"]
    frame = pd.DataFrame({"patient_id": [*hostile, "-7", "007", "plain"], "=evil": np.arange(9.0) - 5})
    write_csv(frame, tmp_path / "t.csv")
    back = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    assert list(back["patient_id"]) == [*(f"'{cell}" for cell in hostile), "-7", "007", "plain"]
    assert list(back.columns) == ["patient_id", "'=evil"]
    assert list(back["'=evil"].astype(float)) == list(frame["=evil"])
