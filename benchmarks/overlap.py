"""What it saves to have the next completions judged while the guidance is fitted: `schedule.ground.overlap`.

    python benchmarks/overlap.py --output benchmarks/results/overlap.json

A fit of `learned` guidance of a random GPT-2 (4x128), 4 prompts and 4 completions of 16 tokens a step, four
updates a step, by a source that only waits, as for a server, and then counts. Each round makes the same fit without and
with the overlap, one right after the other; the ratio is that of the seconds of grounding, medians of rounds with the
95 % sign interval. The ideal is the longer of waiting and updates, where without overlap both are paid.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from paired import centre, ratios, told, write
from rloo_sides import Shape, distinct, make_prompts, recipe_of, write_model

import tgframe

STEPS = 12


def waiting(completion_ids: list[list[int]], **columns: Any) -> list[float]:
    """Wait as for a server; return what :func:`rloo_sides.distinct` returns."""
    time.sleep(float(os.environ["TGFRAME_WAIT"]))
    return distinct(completion_ids)


def fitted(recipe: dict[str, Any], overlap: bool, folder: Path) -> float:
    """Return the seconds of grounding of one run."""
    tgframe.run(recipe, [f"schedule.ground.overlap={str(overlap).lower()}"], folder)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return float(result["cost"]["phase_seconds"]["ground"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wait", type=float, default=0.2, help="seconds that a judgment takes elsewhere")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    os.environ["TGFRAME_WAIT"] = str(options.wait)
    shape = Shape("4x128", 4, 4, 16, 16, "cpu", "fp32")
    found: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        write_model(shape, scratch / "model")
        data = scratch / "prompts.jsonl"
        rows = [json.dumps({"prompt": text, "completion": " w0"}) + "\n" for text in make_prompts(shape, STEPS)]
        data.write_text("".join(rows), encoding="utf-8")
        recipe = recipe_of(shape, scratch / "model", data, dense=True)
        del recipe["objective"], recipe["reference"]
        recipe["preference"]["call"] = "overlap:waiting"
        recipe["task"]["data"]["test"] = str(data)
        ground = {"steps": STEPS, "prompts": shape.prompts, "completions": shape.completions, "updates": 4}
        recipe["schedule"] = {"steps": 0, "ground": ground}
        for number in range(options.rounds + 1):  # the first warms up
            for overlap, seconds in found.items():
                seconds.append(fitted(recipe, overlap, scratch / f"run-{number}-{overlap}"))
    plain, beside = found[False][1:], found[True][1:]
    ratio = ratios(beside, plain)
    print(told(f"a fit with overlap / without, {options.wait} s a judgment", ratio))
    result = {"ratio": ratio, "seconds": centre(plain), "seconds with overlap": centre(beside), "steps": STEPS}
    print(result)
    about = {"machine": f"{platform.machine()}, {platform.system()}", "torch": metadata.version("torch")}
    write({**about, "wait": options.wait, "rounds": options.rounds, **result}, options.output)


if __name__ == "__main__":
    main()
