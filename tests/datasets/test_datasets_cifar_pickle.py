"""Nothing in a pickle can run: arrays of bytes, lists and texts are read, all else is refused."""

from __future__ import annotations

import codecs
import os
import pickle

import numpy as np
import pytest

import ltcore
from ltcore_datasets import cifar_pickle

ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02%sK\x00K\x01\x87R"
    b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb%sU\x06abcdeftb"
)


def record(array: bytes) -> bytes:
    return b"\x80\x02}U\x04data" + array + b"s."


class Hostile:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_an_array_is_read_as_python_2_wrote_it():
    data = cifar_pickle.load(record(ARRAY % (b"u1", b"\x89")), "x")[b"data"]
    assert data.dtype == np.uint8
    assert data.tolist() == [[97, 98, 99], [100, 101, 102]]


def test_an_array_in_fortran_s_order_is_read_as_such():
    data = cifar_pickle.load(record(ARRAY % (b"u1", b"\x88")), "x")[b"data"]
    assert data.tolist() == [[97, 99, 101], [98, 100, 102]]


@pytest.mark.parametrize(
    ("function", "argument", "asked_for"),
    [
        (os.system, "echo > {}", "posix.system"),
        (eval, "open({!r}, 'w')", "__builtin__.eval"),
        (np.load, "{}", "numpy.load"),
        (codecs.encode, "{}", "_codecs.encode"),
    ],
)
def test_a_hostile_pickle_is_refused_and_does_nothing(tmp_path, function, argument, asked_for):
    touched = tmp_path / "touched"
    hostile = Hostile(function, argument.format(str(touched)))
    data = pickle.dumps({"data": hostile}, protocol=2)
    with pytest.raises(ltcore.DataError) as error:
        cifar_pickle.load(data, "train")
    message = f"train is no file of CIFAR's: it asks for {asked_for}, which no image needs"
    assert str(error.value) == message
    assert not touched.exists()


def test_an_array_of_objects_is_refused():
    with pytest.raises(ltcore.DataError, match=r"an array of b'O8', and images are of b'u1'"):
        cifar_pickle.load(record(ARRAY % (b"O8", b"\x89")), "x")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x02", b"no pickle", record(ARRAY % (b"u1", b"\x89"))[:60], b"\x80\x02K\x01."],
)
def test_bytes_that_are_no_record_are_refused(data):
    with pytest.raises(ltcore.DataError, match="x is no file of CIFAR's"):
        cifar_pickle.load(data, "x")
