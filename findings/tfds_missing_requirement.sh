#!/usr/bin/env bash
# tensorflow-datasets 4.9.10: installed by itself it can build no data set.
#
# It imports importlib_resources, an ordinary package, and does not require it. `import
# tensorflow_datasets` works, since modules load late; making a builder, or preparing it, fails. Where
# another package happens to bring importlib_resources, nobody notices.
#
# Seen (file_format="array_record", no TensorFlow; with importlib_resources 7.1.0 it prints "built"):
#   import tensorflow_datasets: 4.9.10
#   ModuleNotFoundError: No module named 'importlib_resources'
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet tensorflow-datasets==4.9.10 numpy==2.4.6 protobuf==6.33.6 || exit 2
mkdir corpus && touch corpus/__init__.py # TFDS reads the folder of the module as a package.
cat >corpus/builder.py <<'EOF'
import numpy as np
import tensorflow_datasets as tfds


class Corpus(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {"x": tfds.features.Scalar(np.int32)}
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield "a", {"x": 1}
EOF
venv/bin/python - 2>log <<'EOF'
import contextlib
import io

import tensorflow_datasets

print("import tensorflow_datasets:", tensorflow_datasets.__version__)
try:
    from corpus import builder

    corpus = builder.Corpus(data_dir="data", file_format="array_record")
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS tells what it does.
        corpus.download_and_prepare()
    outcome = "built"
except Exception as error:
    outcome = f"{type(error).__name__}: {error}"
print(outcome)
assert outcome == "ModuleNotFoundError: No module named 'importlib_resources'"
EOF
