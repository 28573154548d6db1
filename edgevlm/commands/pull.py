"""`edgevlm pull`: a published checkpoint from the hub, or from a mirror of it, into the hub's cache."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from edgevlm.hub.published import MODELS

    parser.add_argument("name", choices=MODELS, metavar="NAME", help=f"one of {', '.join(MODELS)}")
    parser.epilog = (
        "HF_ENDPOINT names a mirror, HF_HUB_CACHE the folder, HF_TOKEN a key, HTTPS_PROXY a proxy; HF_HUB_OFFLINE=1 "
        "looks only at what is here. Started again, it goes on where it stopped; where all is here, it checks it."
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm.hub.published import MODELS
    from edgevlm.hub.pull import check, pull
    from edgevlm.progress import Bar

    model = MODELS[arguments.name]
    check(model, Bar)
    checkpoint, vision_tower = pull(model, lambda line: print(line, flush=True), Bar)
    print(checkpoint)
    if vision_tower is not None:
        print(vision_tower)
    print(f"Next: edgevlm serve {arguments.name}")
    return 0
