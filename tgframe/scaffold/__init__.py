"""What ``tgframe new`` writes: a small, complete plugin, rendered from the texts under ``templates``."""
