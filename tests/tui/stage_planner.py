"""Stands in for the planner in the pictures: data and machine are always the same."""

from pathlib import Path

from maquette.blueprint.resolve import resolve
from maquette.cli.plan import plan_rows
from maquette.facts import DataFacts, SplitFacts
from maquette.spec.load import parse_spec
from maquette.spec.task import language
from maquette.tui.lines import Request, Requests, serve

FACTS = DataFacts(
    1024,
    {
        "stories": {
            "train": SplitFacts(40_000, 5_430_212, 23_178_644),
            "validation": SplitFacts(2_000, 271_022, 1_157_902),
        }
    },
)
RATE = 1.3e11


class Stage:
    def __init__(self, requests: Requests) -> None:
        self.requests = requests

    def answer(self, request: Request) -> None:
        request = self.requests.newest(request)
        spec = parse_spec(request["text"], origin="spec", folder=Path(request["folder"]))
        blueprint = resolve(language(spec), FACTS)
        costs, plan = blueprint.costs, blueprint.train
        seconds = costs.flops / (RATE * 0.5)
        held = costs.weights_bytes + costs.gradients_bytes + costs.optimizer_bytes
        estimate = {
            "device": "cpu",
            "precision": "float32",
            "measured_flops_per_second": RATE,
            "assumed_share": 0.5,
            "seconds": seconds,
            "tokens_per_second": plan.tokens / seconds,
            "peak_bytes": held + costs.activations_bytes,
            "memory_bytes": 2**34,
            "disk_bytes": costs.checkpoint_bytes * (plan.checkpoint_keep + 1),
        }
        rows = plan_rows(blueprint, estimate)
        self.requests.say(request, "plan", sections=rows, short_of_memory=False)


if __name__ == "__main__":
    asked = Requests()
    serve(asked, Stage(asked).answer)
