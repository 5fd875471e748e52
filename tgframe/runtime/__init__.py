"""The machine under the parts: devices, randomness, decoding, files of a run."""
