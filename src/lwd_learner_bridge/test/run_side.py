# SPDX-License-Identifier: Apache-2.0
"""One side as a process of its own, for tests that kill it: run_side.py SIDE FOLDER."""

import sys
import time
from pathlib import Path

from lwd_learner_bridge.ingest.config import IngestConfig
from lwd_learner_bridge.ingest.coordinator import Coordinator
from lwd_learner_bridge.store.objects import ObjectStore
from lwd_learner_bridge.upload.config import UploadConfig
from lwd_learner_bridge.upload.uploader import Uploader


def main(side, folder):
    objects = ObjectStore(str(folder / 'store'))
    if side == 'uploader':
        core = Uploader(folder / 'spool', 'g1_01', objects, UploadConfig(
            bandwidth=20.0, confirm_poll=0.05, announce_again=1.0))
    else:
        core = Coordinator(
            objects, folder / 'store', IngestConfig(snapshot_period=0.0, list_period=0.02))
    sys.stdout.write('ready\n')
    sys.stdout.flush()
    while True:
        time.sleep(core.work())


if __name__ == '__main__':
    main(sys.argv[1], Path(sys.argv[2]))
