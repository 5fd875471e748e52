"""Stand-ins for the partition term ``beta log Z(x)``, which pairs cancel and points do not."""
