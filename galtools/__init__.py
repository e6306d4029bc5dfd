"""Helpers of the companion to "Investigation on deep learning-based galaxy image translation".

Data flows one way, and nothing imports back up::

    surveys -> simulate | ingest -> data -> train -> translate -> fidelity, mapping -> plots -> book

This file imports nothing on purpose: a notebook depends on the modules that it names, no others.
"""

__version__ = "0.1.0"
