"""What all tests share: the same hypothesis examples in every run, and no deadline on a busy machine."""

from hypothesis import settings

settings.register_profile("tgframe", deadline=None, derandomize=True)
settings.load_profile("tgframe")
