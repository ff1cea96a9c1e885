"""config.data as configs/base.py has it, but small."""


def small_data(corpus, **fields):
    return {
        "corpus": corpus,
        "height": 32,
        "width": 24,
        "audio_rate": 16000,
        "fps": 25,
        "speakers": (),
        "max_bad_share": 0.4,
        "max_seconds": 30.0,
        "max_filled": 0.75,
        "train_minutes": 0.0,
        "prepare_workers": 1,
        "options": {},
        **fields,
    }
