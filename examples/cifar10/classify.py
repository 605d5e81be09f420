"""What the model sees in images: `python classify.py IMAGE...`.

Made by `maquette eject` (maquette 0.1.0) from the spec cifar10; blueprint 5afd7e32ddb7ccf0.
"""

import argparse
import sys
from pathlib import Path

import torch

from data import MEAN, STD, class_names, normalise, shape_for
from device import autocast, choose_device
from errors import count, run
from eval import probabilities
from images import BrokenError, decode
from model import SHAPE, WEIGHTS, ConvNeXt, load_model


def main() -> None:
    """Print the likeliest classes of each image."""
    parser = argparse.ArgumentParser(description="Tell what is in images.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a file")
    parser.add_argument("--top", type=count, default=3, metavar="N", help="classes to print")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="default: %(default)s")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options = parser.parse_args()
    device = choose_device(options.device)
    classes = class_names(options.weights)
    model = ConvNeXt(shape_for(classes)).to(device).eval()
    load_model(options.weights, model)
    broken = False
    for name in options.images:
        try:
            pixels = decode((name, 0, 0), SHAPE.image_size)
        except BrokenError as error:
            print(f"{name}: {error}", file=sys.stderr)
            broken = True
            continue
        batch = torch.from_numpy(pixels.copy())[None].permute(0, 3, 1, 2).to(device)
        inputs = normalise(batch, MEAN, STD)
        said = probabilities(model, inputs, autocast=autocast(device, "float32"))[0].exp()
        shares, places = said.topk(min(options.top, len(classes)))
        pairs = zip(shares.tolist(), places.tolist(), strict=True)
        print(f"{name}: {', '.join(f'{classes[place]} {share:.1%}' for share, place in pairs)}")
    if broken:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
