"""Files are fetched once, whole, and with the hash expected."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from densekit.utils import get_file

CONTENT = b"1,2\n3,4\n"
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        Handler.asked += 1
        if self.path == "/missing.csv":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) + 9 * (self.path == "/cut.csv")))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked = 0
    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_http_and_the_cache(server: str, tmp_path: Path) -> None:
    path = get_file("rows.csv", f"{server}/a/b.csv?x=1", cache_dir=tmp_path, file_hash=SHA256)
    assert Path(path) == tmp_path / "datasets" / "rows.csv"
    assert Path(path).read_bytes() == CONTENT
    get_file("rows.csv", f"{server}/a/b.csv", cache_dir=tmp_path, md5_hash=MD5)
    assert Handler.asked == 1
    get_file("rows.csv", f"{server}/a/b.csv", cache_dir=tmp_path, force_download=True)
    assert Handler.asked == 2
    Path(path).write_text("spoilt")
    get_file("rows.csv", f"{server}/a/b.csv", cache_dir=tmp_path, file_hash=SHA256)
    assert (Handler.asked, Path(path).read_bytes()) == (3, CONTENT)
    assert get_file(origin=f"{server}/b.csv", cache_dir=tmp_path).endswith("b.csv")


@pytest.mark.parametrize("name", ["missing.csv", "cut.csv", "whole.csv"])
def test_what_fails_leaves_nothing(name: str, server: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError if name == "whole.csv" else OSError):
        get_file(origin=f"{server}/{name}", cache_dir=tmp_path, file_hash="0" * 64)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "with space.csv"
    source.write_bytes(CONTENT)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for name, origin in (("a", source), ("b", str(source)), ("c", source.as_uri())):
        path = get_file(name, origin, cache_subdir="d")
        assert Path(path) == tmp_path / "home" / "d" / name
        assert Path(path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fname", "origin"),
    [("x", None), ("a/b", "/nowhere"), ("..", "/nowhere"), (None, "http://host/"),
     ("x", "ftp://host/x")],
)  # fmt: skip
def test_refusals(fname: str | None, origin: str | None, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        get_file(fname, origin, cache_dir=tmp_path)


def archive(path: Path, kind: str, members: list[str]) -> Path:
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            for name in members:
                file.writestr(name, CONTENT)
        return path
    with tarfile.open(path, f"w:{kind.partition('.')[2]}") as tar:
        for name in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(CONTENT)
            tar.addfile(entry, io.BytesIO(CONTENT))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2"])
def test_archives(kind: str, tmp_path: Path) -> None:
    source = archive(tmp_path / f"data.{kind}", kind, ["a.csv", "in/b.csv"])
    for name, folder in ((None, source.name), (f"mine.{kind}", "mine_extracted"), ("own", "own")):
        for _ in range(2):
            path = get_file(name, source.as_uri(), extract=True, cache_dir=tmp_path)
            assert Path(path) == tmp_path / "datasets" / folder
            assert (Path(path) / "in" / "b.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_nothing_leaves_the_folder(kind: str, tmp_path: Path) -> None:
    members = ["good.csv", "../../../evil.csv", "a/../../evil.csv"]
    source = archive(tmp_path / f"data.{kind}", kind, members)
    with pytest.warns(UserWarning, match="left out"):
        path = get_file("data", source, extract=True, cache_dir=tmp_path)
    assert (Path(path) / "good.csv").exists()
    assert not list(tmp_path.parent.rglob("evil.csv"))


def test_links_out_of_the_folder_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(entry)
    with pytest.warns(UserWarning, match="left out"):
        path = get_file("links", tmp_path / "links.tar", untar=True, cache_dir=tmp_path)
    assert not (Path(path) / "link").is_symlink()


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(CONTENT)
    with pytest.warns(UserWarning, match="an archive"):
        get_file("x", tmp_path / "x.csv", extract=True, cache_dir=tmp_path)
