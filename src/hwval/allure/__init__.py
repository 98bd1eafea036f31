"""Writes a run as Allure results: the one place that knows Allure's file format.

    categories  a status for each verdict, a category for each kind of trouble
    telling     message and description of a result
    places      its place in the tree, its labels and parameters
    results     the files

The results are made from the journal after the run, by one writer, and not by a pytest plugin
while it goes on: they are the same with and without workers and can be made after a kill. The
names of files follow from what they are about, so that writing a run twice leaves one copy. The
files are plain JSON; no library is needed, and the one there is names its files at random.

Source: the classes of ``allure_commons.model2`` 2.16 and the reader of Allure 3.18.
"""

from __future__ import annotations

from hwval.allure.categories import categories
from hwval.allure.results import write_allure

__all__ = ["categories", "write_allure"]
