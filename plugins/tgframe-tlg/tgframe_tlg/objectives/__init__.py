"""Policy-gradient objectives: token guidance, and the two baselines that it is compared with."""
