#!/usr/bin/env bash
# grain 0.2.18: with drop_remainder=True, another number of workers gives other batches, or none.
#
# Each worker process takes every N-th record and makes whole batches of its own. So the batches of one
# seed depend on the machine's number of workers, and where each worker's share is smaller than a batch
# there is not one: 8 records in batches of 4 are 2 batches with no worker or with two, and nothing
# at all with three, without a warning. `DataLoader` and `IterDataset.mp_prefetch` do the same.
#
# Seen (the numbers 0 to 7, unshuffled, batches of 4):
#   0 workers: [[0, 1, 2, 3], [4, 5, 6, 7]]
#   2 workers: [[0, 2, 4, 6], [1, 3, 5, 7]]
#   3 workers: []
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet grain==0.2.18 numpy==2.4.6 || exit 2
cat >main.py <<'EOF'
import grain
from absl import flags


def loaded(workers):
    sampler = grain.samplers.IndexSampler(8, shuffle=False, seed=0, num_epochs=1)
    batch = grain.transforms.Batch(4, drop_remainder=True)
    loader = grain.DataLoader(
        data_source=list(range(8)), sampler=sampler, operations=[batch], worker_count=workers
    )
    return [batch.tolist() for batch in loader]


def prefetched(workers):
    batches = grain.MapDataset.source(list(range(8))).to_iter_dataset()
    batches = batches.batch(4, drop_remainder=True)
    if workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    return [batch.tolist() for batch in batches]


if __name__ == "__main__":
    flags.FLAGS.mark_as_parsed()
    expected = {
        0: [[0, 1, 2, 3], [4, 5, 6, 7]],
        2: [[0, 2, 4, 6], [1, 3, 5, 7]],
        3: [],
    }
    for workers, batches in expected.items():
        print(f"{workers} workers: {loaded(workers)}")
        assert loaded(workers) == prefetched(workers) == batches
EOF
venv/bin/python main.py 2>log
