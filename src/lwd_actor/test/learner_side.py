# SPDX-License-Identifier: Apache-2.0
"""Signed manifests and parts of policies, as a learner has them, and a robot that takes them."""

from __future__ import annotations

from dataclasses import replace

from tiny_policies import saved, tiny, trained

from lwd_actor.reception.receiver import Receiver
from lwd_policy.payload import pack
from lwd_policy.shelf import Shelf, ShelfWriter
from lwd_policy.signature import SigningKey, TrustedKeys, new_keys


class Accepting:
    """A judge that lets every policy pass."""

    def __call__(self, unpacked, running):
        pass

    def moved(self, folder):
        pass


class LearnerSide:
    """A line of versions, each trained from the one before."""

    def __init__(self, folder, count=3):
        self.folder = folder
        self.key = SigningKey.load(new_keys(folder / 'keys')[0])
        self.trusted = TrustedKeys.load(folder / 'keys')
        self.versions = []
        policy = tiny()
        for number in range(count):
            card = saved(self.place(number), policy, parent=self.versions[-1] if number else '')
            self.versions.append(card.version)
            policy = trained(policy, number + 1)

    def place(self, number):
        return self.folder / f'policy{number}'

    def offer(self, number, *, base=None, part_bytes=4000, **changes):
        """Return (signed manifest, parts) of a version, in full or as a delta to another."""
        file = self.folder / f'payload-{number}-{base}'
        manifest = pack(self.place(number), file, part_bytes=part_bytes,
                        base=None if base is None else self.place(base))
        manifest = replace(manifest, stamp_ns=1000 + number, update=number, **changes)
        data = file.read_bytes()
        parts = [data[at:at + part_bytes] for at in range(0, len(data), part_bytes)]
        return manifest.signed(self.key), parts


def send(receiver, manifest, parts, order=None):
    """Have a receiver hear parts of a payload, all unless an order is given."""
    for index in range(len(parts)) if order is None else order:
        receiver.part(manifest.version, manifest.payload_sha256, index, parts[index])


class Receiving:
    """A receiver with a clock that only moves when told."""

    def __init__(self, folder, learner, judge=None, **more):
        self.now = 0.0
        self.said = []
        self.shelf = ShelfWriter(folder)
        self.receiver = Receiver(
            self.shelf, learner.trusted, judge or Accepting(), clock=lambda: self.now,
            on_change=self.said.append, **more)

    def take(self, manifest, parts, order=None):
        self.receiver.manifest(manifest)
        send(self.receiver, manifest, parts, order)
        self.work()

    def work(self):
        self.receiver.work(timeout=0.0)

    @property
    def current(self):
        return Shelf(self.shelf.folder).current()

    @property
    def reason(self):
        return self.receiver.last_refusal[1]

    def close(self):
        self.receiver.close()
        self.shelf.close()
