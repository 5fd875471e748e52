"""What a launcher was configured for: taken up, or refused with the option that is in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from accelerate import Accelerator
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

from tgframe.errors import DeviceError
from tgframe.runtime.launch import DIVIDES, REFUSED, divides_weights, undivided
from tgframe.runtime.machine import Machine
from tgframe.runtime.processes import Processes

CONFIG = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
machine_rank: 0
num_machines: 1
num_processes: 2
mixed_precision: 'no'
fsdp_config:
  fsdp_version: 2
  fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP
  fsdp_cpu_ram_efficient_loading: true
  fsdp_reshard_after_forward: true
  fsdp_state_dict_type: SHARDED_STATE_DICT
"""


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment that ``accelerate launch`` makes of a configuration for FSDP."""
    file = tmp_path / "fsdp.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    options = load_config_from_file(str(file))
    args = launch_command_parser().parse_args(["--config_file", str(file), "train.py"])
    for name, value in options.fsdp_config.items():
        setattr(args, name, value)
    args.use_fsdp, args.num_machines, args.num_processes, args.mixed_precision = True, 1, 2, "no"
    args.dynamo_backend, args.enable_cpu_affinity = "no", False
    before = dict(os.environ)
    made = prepare_multi_gpu_env(args)
    for name in {*made, *before}:
        if made.get(name) != before.get(name) and name.startswith(("FSDP", "ACCELERATE")):
            monkeypatch.setenv(name, made[name])


@pytest.mark.usefixtures("configured")
def test_fsdp_of_accelerates_configuration_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.environ[DIVIDES] == "true"
    assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "true"
    assert divides_weights()
    assert not Machine.create(0).divides, "one process has nobody to divide with"
    assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false", "every process loads the weights"
    monkeypatch.setattr(Accelerator, "num_processes", property(lambda self: 2))
    assert Machine.create(0, "cpu", processes=Processes(1, 2, 1)).divides


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("fsdp_offload_params", "true", "Weights stay on their device: set it to false."),
        ("fsdp_activation_checkpointing", "true", "set it to false, and `policy.gradient_checkpointing: true`"),
        ("fsdp_sharding_strategy", "HYBRID_SHARD", "set it to FULL_SHARD."),
        ("fsdp_sharding_strategy", "3", "set it to FULL_SHARD."),
    ],
)
@pytest.mark.usefixtures("configured")
def test_options_that_cannot_be_had_are_refused(
    monkeypatch: pytest.MonkeyPatch, option: str, value: str, remedy: str
) -> None:
    monkeypatch.setenv(option.upper(), value)
    with pytest.raises(DeviceError) as raised:
        Machine.create(0)
    assert str(raised.value).startswith(f"accelerate is configured with `{option}: {value}`.")
    assert remedy.lower() in str(raised.value).lower()


@pytest.mark.parametrize(("variable", "name"), REFUSED.items())
def test_other_ways_to_divide_are_refused(monkeypatch: pytest.MonkeyPatch, variable: str, name: str) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(DeviceError, match=rf"divided by FSDP, but accelerate is configured for {name} instead"):
        Machine.create(0)


def test_a_wish_is_hidden_for_a_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIVIDES, raising=False)
    assert not divides_weights()
    with undivided():
        pass
    assert DIVIDES not in os.environ
    monkeypatch.setenv(DIVIDES, "true")
    with undivided():
        assert not divides_weights()
    assert divides_weights()
