"""CIFAR-10 and CIFAR-100 as their authors released them: address, checksums, layout, sizes.

The SHA-256 are of the archives as TensorFlow, Keras and torchvision's prototypes pin them; the MD5
are torchvision's, which knows no other checksum of the files inside.

Reference:
    Krizhevsky: Learning Multiple Layers of Features from Tiny Images. 2009.
    https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Release:
    """What is known of an official archive before it is opened.

    Attributes:
        title: what people call the data set.
        url: where the archive is.
        archive: its file name.
        sha256: its checksum.
        md5: the one that torchvision checks after a download.
        folder: the folder that it holds.
        train_files: its training files, in order; of each its MD5.
        test_files: the same of its test files.
        meta_file: the file of the class names and its MD5.
        labels_key: the labels in a training or test file.
        names_key: the class names in the meta file.
        num_classes: K.
        train_per_class: training images of each class.
        test_per_class: test images of each class.
    """

    title: str
    url: str
    archive: str
    sha256: str
    md5: str
    folder: str
    train_files: Mapping[str, str]
    test_files: Mapping[str, str]
    meta_file: tuple[str, str]
    labels_key: bytes
    names_key: bytes
    num_classes: int
    train_per_class: int
    test_per_class: int

    @property
    def files(self) -> dict[str, str]:
        """Every file of the archive that is read, and its MD5."""
        return {**self.train_files, **self.test_files, self.meta_file[0]: self.meta_file[1]}

    def where_to_put_it(self, root: Path) -> str:
        """The end of a message: what to put where by hand, and how to know that it is right."""
        return f"put {self.url} (SHA-256 {self.sha256}) into {root.absolute()}"


RELEASES = {
    "cifar10": Release(
        title="CIFAR-10",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        archive="cifar-10-python.tar.gz",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        train_files={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test_files={"test_batch": "40351d587109b95175f43aff81a1287e"},
        meta_file=("batches.meta", "5ff9c542aee3614f3951f8cda6e48888"),
        labels_key=b"labels",
        names_key=b"label_names",
        num_classes=10,
        train_per_class=5000,
        test_per_class=1000,
    ),
    "cifar100": Release(
        title="CIFAR-100",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        archive="cifar-100-python.tar.gz",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        folder="cifar-100-python",
        train_files={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test_files={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        meta_file=("meta", "7973b15100ade9c7d40fb424638fde48"),
        labels_key=b"fine_labels",
        names_key=b"fine_label_names",
        num_classes=100,
        train_per_class=500,
        test_per_class=100,
    ),
}
