"""Downloads, from a server on this machine: the archive whole, or a message with what to do."""

from __future__ import annotations

import functools
import http.server
import socket
import threading
import time
from dataclasses import replace

import pytest

import ltcore
from ltcore_datasets import Cifar100LT
from ltcore_datasets.cifar_releases import RELEASES


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def serve(tiny100, monkeypatch):
    """Serve a folder, and have CIFAR-100's address be there."""
    servers = []

    def start(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        name = tiny100.release.archive
        point_to(monkeypatch, tiny100, f"http://127.0.0.1:{server.server_port}/{name}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def point_to(monkeypatch, tiny, url):
    monkeypatch.setitem(RELEASES, "cifar100", replace(tiny.release, url=url))


def build(root):
    component = Cifar100LT(root=str(root), download=True, holdout_per_class=3)
    return component.build(ltcore.Seeds())


def test_the_archive_is_fetched_once(serve, tiny100, tmp_path, monkeypatch):
    serve(tiny100.archive)
    root = tmp_path / "new" / "root"
    first = build(root)
    assert [path.name for path in root.iterdir()] == [tiny100.release.archive]
    point_to(monkeypatch, tiny100, "http://ltcore.invalid/archive")
    assert build(root).train.ids.tolist() == first.train.ids.tolist()


def test_another_file_under_the_address_is_refused_and_not_kept(serve, tmp_path, tiny100):
    served, root = tmp_path / "served", tmp_path / "root"
    served.mkdir()
    (served / tiny100.release.archive).write_bytes(b"a login page")
    serve(served)
    with pytest.raises(ltcore.DataError, match="could not be downloaded"):
        build(root)
    assert list(root.iterdir()) == []


def test_a_file_that_only_its_md5_lets_through_is_refused(serve, tiny100, tmp_path, monkeypatch):
    serve(tiny100.archive)
    monkeypatch.setitem(RELEASES, "cifar100", replace(RELEASES["cifar100"], sha256="0" * 64))
    with pytest.raises(ltcore.DataError, match="tampered"):
        build(tmp_path / "root")


def test_without_a_network_address_checksum_and_folder_are_told_at_once(
    tmp_path, tiny100, monkeypatch
):
    url = "https://ltcore.invalid/cifar-100-python.tar.gz"
    point_to(monkeypatch, tiny100, url)
    start = time.monotonic()
    with pytest.raises(ltcore.DataError) as error:
        build(tmp_path / "root")
    assert time.monotonic() - start < 5
    assert "CIFAR-100 could not be downloaded" in str(error.value)
    assert f"put {url} (SHA-256 {tiny100.release.sha256}) into {tmp_path / 'root'}" in str(
        error.value
    )


def test_a_server_that_never_answers_is_not_waited_for(tmp_path, tiny100, monkeypatch):
    monkeypatch.setattr("ltcore_datasets.download.SECONDS_TO_ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/archive"
        point_to(monkeypatch, tiny100, url)
        with pytest.raises(ltcore.DataError) as error:
            build(tmp_path / "root")
    assert str(tmp_path / "root") in str(error.value)


def test_a_resolver_that_hangs_is_not_waited_for(tmp_path, tiny100, monkeypatch):
    def hang(*_, **__):
        time.sleep(0.5)
        raise TimeoutError

    monkeypatch.setattr("ltcore_datasets.download.SECONDS_TO_ANSWER", 0.1)
    monkeypatch.setattr("urllib.request.urlopen", hang)
    with pytest.raises(ltcore.DataError, match=r"did not answer within 0\.1 seconds"):
        build(tmp_path / "root")


def test_class_folders_are_used_rather_than_fetching(tiny100, monkeypatch):
    point_to(monkeypatch, tiny100, "http://ltcore.invalid/archive")
    assert len(build(tiny100.folders).val) == 20
