#!/usr/bin/env bash
# tensorflow-datasets 4.9.10: without TensorFlow, two examples with the same key raise "No module
# named 'tensorflow'".
#
# Data sets in array_record need no TensorFlow. TFDS has a message for a builder that yields a key
# twice ("Two examples share the same hashed key!"), but parses both examples for its log first, with
# TensorFlow, and the failed import is what the builder's author sees.
#
# Seen (with importlib_resources 7.1.0; keys "a", "a"):
#   ModuleNotFoundError: ... No module named 'tensorflow'
#   the message says what is wrong: False
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet tensorflow-datasets==4.9.10 importlib_resources==7.1.0 \
  numpy==2.4.6 protobuf==6.33.6 || exit 2
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
        yield "a", {"x": 2}
EOF
venv/bin/python - 2>log <<'EOF'
import contextlib
import io

from corpus import builder

corpus = builder.Corpus(data_dir="data", file_format="array_record")
try:
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS tells what it does.
        corpus.download_and_prepare()
    outcome = "built"
except Exception as error:
    outcome = f"{type(error).__name__}: {error}"
print(outcome)
print("the message says what is wrong:", "share the same" in outcome)
assert outcome.startswith("ModuleNotFoundError") and outcome.endswith("No module named 'tensorflow'")
assert "share the same" not in outcome
EOF
