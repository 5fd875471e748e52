"""Policies over decoder-only models: plain causal ones, and a frozen one with a trained adaptor."""
