"""Published weights: their names, the caches, and a quick end where there is no network."""

import http.server
import re
import socket
import threading
import time
from pathlib import Path

import huggingface_hub
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torchvision.models import MobileNet_V2_Weights

import ltcore
from ltcore_backbones import ConvNeXtBase, MobileNetV2, ResNet50, Timm, ViTB16, downloads
from ltcore_backbones.torchvision_models import weights_url


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Empty caches of torch and of the hub."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


@pytest.fixture
def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def silent_port():
    """A server that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def served(tmp_path):
    """A folder and the address it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("resnet50", "IMAGENET1K_V1"),
        ("resnet50", "IMAGENET1K_V2"),
        ("mobilenet_v2", "IMAGENET1K_V1"),
        ("mobilenet_v2", "IMAGENET1K_V2"),
        ("convnext_base", "IMAGENET1K_V1"),
        ("vit_b_16", "IMAGENET1K_V1"),
    ],
)
def test_weights_of_torchvision_resolve_to_torchvision_s_address(model, weights):
    published = torchvision.models.get_model_weights(model)[weights]
    assert weights_url(model, weights) == published.url


@pytest.mark.parametrize("component", [ResNet50, MobileNetV2, ConvNeXtBase])
def test_default_weights_exist(component):
    assert weights_url(component.name, component().weights).startswith("https://")


@pytest.mark.parametrize("weights", ["IMAGENET1K_V3", "DEFAULT", "resnet50.a1_in1k", ""])
def test_unknown_weights_are_refused_with_the_known_ones(weights):
    with pytest.raises(ltcore.SpecError) as caught:
        ResNet50(weights=weights).build(10, "linear")
    assert f"torchvision has no weights {weights!r} for resnet50" in str(caught.value)
    assert "Known: IMAGENET1K_V1, IMAGENET1K_V2" in str(caught.value)


def test_weights_for_larger_images_are_not_offered():
    with pytest.raises(ltcore.SpecError, match="Known: IMAGENET1K_V1, IMAGENET1K_SWAG_LINEAR_V1"):
        weights_url("vit_b_16", "IMAGENET1K_SWAG_E2E_V1")


def test_vit_refuses_a_tag_of_another_model():
    with pytest.raises(
        ltcore.SpecError, match=r"no tag of vit_base_patch16_224\. Give one in full"
    ):
        ViTB16(weights="vit_small_patch16_224.augreg_in1k").build(10, "linear")


def test_vit_refuses_an_unknown_tag_with_the_known_ones():
    with pytest.raises(ltcore.SpecError, match=r"no weights .*augreg9.*Known: .*augreg2_in21k_ft"):
        ViTB16(weights="vit_base_patch16_224.augreg9").build(10, "linear")


def test_weights_in_torch_s_cache_are_used_without_a_network(caches):
    name = MobileNet_V2_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    state = MobileNetV2(weights=None).build(1000, "linear").state_dict()
    folder = caches / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / name)
    loaded = MobileNetV2().build(10, "linear").state_dict()
    assert torch.equal(loaded["features.0.0.weight"], state["features.0.0.weight"])


def test_damaged_file_in_torch_s_cache_is_named(caches):
    name = MobileNet_V2_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    folder = caches / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"")
    with pytest.raises(ltcore.SurroundingsError, match=f"{re.escape(name)}.* cannot be read"):
        MobileNetV2().build(10, "linear")


def hub_snapshot(caches, repository):
    """The folder of a cached revision, as the hub's client lays it out."""
    root = caches / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / "0123456789"
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("0123456789")
    return snapshot


def test_weights_in_the_hub_s_cache_are_used_without_a_network(caches):
    state = Timm(model="test_resnet", weights=None).build(1000, "linear").state_dict()
    save_file(state, hub_snapshot(caches, "timm/test_resnet.r160_in1k") / "model.safetensors")
    loaded = Timm(model="test_resnet.r160_in1k").build(10, "linear").state_dict()
    others = [name for name in state if not name.startswith("fc.")]
    assert all(torch.equal(loaded[name], state[name]) for name in others)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      "])
def test_damaged_or_foreign_file_in_the_hub_s_cache_is_named(caches, content):
    file = hub_snapshot(caches, "timm/test_resnet.r160_in1k") / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(ltcore.SurroundingsError) as caught:
        Timm(model="test_resnet.r160_in1k").build(10, "linear")
    assert f"{file} cannot be loaded into test_resnet.r160_in1k" in str(caught.value)


def test_download_lands_in_torch_s_cache(served, caches):
    folder, address = served
    (folder / "weights.pth").write_bytes(b"content")
    file = downloads.torch_hub_file(f"{address}/weights.pth")
    assert file == str(caches / "torch" / "hub" / "checkpoints" / "weights.pth")
    assert Path(file).read_bytes() == b"content"


def test_download_with_another_hash_than_its_name_says_is_refused(served):
    folder, address = served
    (folder / "weights-0123abcd.pth").write_bytes(b"content")
    with pytest.raises(ltcore.SurroundingsError, match='invalid hash value .expected "0123abcd"'):
        downloads.torch_hub_file(f"{address}/weights-0123abcd.pth")


def test_download_with_the_hash_of_its_name_is_taken(served):
    folder, address = served
    name = "weights-ed7002b4.pth"  # SHA-256 of b"content" begins so
    (folder / name).write_bytes(b"content")
    assert downloads.torch_hub_file(f"{address}/{name}").endswith(name)


def test_download_without_a_network_says_what_to_put_where(closed_port, caches):
    url = f"http://127.0.0.1:{closed_port}/weights.pth"
    with pytest.raises(ltcore.SurroundingsError) as caught:
        downloads.torch_hub_file(url)
    assert f"{url} cannot be downloaded" in str(caught.value)
    assert f"Put that file into {caches / 'torch' / 'hub' / 'checkpoints'}" in str(caught.value)


def test_download_leaves_the_sockets_default_alone(closed_port):
    with pytest.raises(ltcore.SurroundingsError):
        downloads.torch_hub_file(f"http://127.0.0.1:{closed_port}/weights.pth")
    assert socket.getdefaulttimeout() is None


def test_download_gives_up_on_a_server_that_does_not_answer(silent_port, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    started = time.monotonic()
    with pytest.raises(ltcore.SurroundingsError, match="timed out"):
        downloads.torch_hub_file(f"http://127.0.0.1:{silent_port}/weights.pth")
    assert time.monotonic() - started < 15


@pytest.fixture
def hub_at(monkeypatch):
    """Point the hub's client at a port of this machine."""

    def point(port):
        url = f"http://127.0.0.1:{port}/model.safetensors"
        monkeypatch.setattr(downloads, "hf_hub_url", lambda repository, filename: url)

    return point


def test_hub_without_a_network_says_what_to_put_where(hub_at, closed_port, caches):
    hub_at(closed_port)
    started = time.monotonic()
    with pytest.raises(ltcore.SurroundingsError) as caught:
        Timm(model="test_resnet.r160_in1k").build(10, "linear")
    assert time.monotonic() - started < 15
    message = str(caught.value)
    assert "model.safetensors cannot be downloaded" in message
    assert (
        f"models--timm--test_resnet.r160_in1k of another machine's cache into {caches}" in message
    )


def test_hub_that_does_not_answer_is_given_up(hub_at, silent_port, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    hub_at(silent_port)
    started = time.monotonic()
    with pytest.raises(ltcore.SurroundingsError, match="cannot be downloaded"):
        downloads.hugging_face_file("timm/test_resnet.r160_in1k")
    assert time.monotonic() - started < 15


def test_no_weights_need_no_network(hub_at, closed_port):
    hub_at(closed_port)
    assert Timm(model="test_resnet.r160_in1k", weights=None).build(10, "linear")
