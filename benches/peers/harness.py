"""What the programs of this folder share: the flags of `measure`, its loop, and its line of JSON."""
import time

STARTED = time.perf_counter()  # before a framework is imported

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402

CLASSES = 3
LEARNING_RATE = 0.003
WARM_UP = 2


def flags(switches=()):
    """The command line, with a framework's own switches. Limits threads, so import the framework after it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bench", choices=["train", "infer"])
    for flag, default in [("image-size", 128), ("hidden", 192), ("mlp", 768), ("heads", 4), ("feature", 16)]:
        parser.add_argument(f"--{flag}", type=int, default=default)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    for switch in switches:
        parser.add_argument(switch, action="store_true")
    args = parser.parse_args()
    limit_threads(args.threads)
    return args


def limit_threads(count):
    """For frameworks that are imported later."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def measure(args, framework, versions, params, step):
    """Runs `step`, which gives a loss or None when its work is done, and prints what it took."""
    losses = [step()]
    first_call = time.perf_counter() - STARTED
    losses += [step() for _ in range(WARM_UP - 1)]
    walls, cpus = [], []
    for _ in range(args.steps):
        wall, cpu = time.perf_counter(), time.process_time()
        losses.append(step())
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    median = statistics.median(walls)
    line = {
        "bench": args.bench,
        "framework": framework,
        "versions": versions,
        "median_s": median,
        "min_s": min(walls),
        "max_s": max(walls),
        "cpu_s_median": statistics.median(cpus),
        "images_per_s": args.batch / median,
        "first_call_s": first_call,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "params": params,
        "loss_first": losses[0],
        "loss_last": losses[-1],
    }
    print(json.dumps(line | vars(args)))
