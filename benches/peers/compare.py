#!/usr/bin/env python3
"""Measures this library and its peers in turn on this machine, and writes the tables of README
and docs/performance.md, and the numbers into benches/history.csv.

    python3 -m venv VENV && VENV/bin/pip install -r benches/peers/requirements.txt
    VENV/bin/python benches/peers/compare.py                   # all but the pipeline
    VENV/bin/python benches/peers/compare.py --ops             # the operations alone
    VENV/bin/python benches/peers/compare.py --networks --region avx2
    VENV/bin/python benches/peers/compare.py --pipeline FOLDER # reading the photos of a folder, or of several
    VENV/bin/python benches/peers/compare.py --only inference  # some cases, only printed
    VENV/bin/python benches/peers/compare.py --only bf16 --region matrix-units

It builds the programs first, and waits while other programs keep the processors busy.
"""
import argparse

import machine
import networks
import operations
import pipeline
import tables


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ops", action="store_true", help="the operations alone")
    parser.add_argument("--networks", action="store_true", help="the networks alone")
    parser.add_argument("--pipeline", nargs="+", metavar="FOLDER", help="the input pipeline alone, on these data")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases that have it in their title; only printed")
    parser.add_argument("--region", metavar="NAME", help="where in the documents to write the networks")
    parser.add_argument("--without", action="append", default=[], choices=networks.SIDES, help="leaves a side out")
    parser.add_argument("--print", action="store_true", help="prints without writing")
    parser.add_argument("--rounds", type=int, help="instead of 3")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patience", type=float, default=120, help="seconds to wait for a quiet machine, each time")
    args = parser.parse_args()
    common = {"rounds": args.rounds, "threads": args.threads, "patience": args.patience}
    programs = machine.build()
    regions = {}
    if args.pipeline:
        regions["pipeline"] = pipeline.compare(programs, args.pipeline, **common)
    else:
        if not args.ops:
            regions["compare"] = networks.compare(programs, args.only, args.without, **common)
        if not args.networks:
            regions["operations"] = operations.compare(programs, args.only, **common)
    for name, text in regions.items():
        if text is None:
            continue
        print(text, end="\n\n", flush=True)
        chosen = args.region if name == "compare" else None
        region = chosen or (None if args.only else name)
        if region and not args.print:
            tables.write(region, text)


if __name__ == "__main__":
    main()
