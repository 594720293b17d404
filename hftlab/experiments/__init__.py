"""The experiments. One file each, one shape each: plan -> interleaved rounds -> a result that can be shown, stored and restored.

stages.py stage_timing.py   bench(): every engine side by side; one of them, stage by stage
latency.py                  latency(): one engine in depth, warm, cold start and cold caches
open_loop.py                open_loop(): messages sent at a fixed rate, and timed from when they were due
recorder.py                 the slowest messages recorded with what is counted around them, and what that says of the cause
slowest.py trace.py         the slowest messages, what stood around them, and a trace of it
compare.py                  compare(): is one engine faster than another, and what of the distribution changed
ablation.py                 ablate(): what each optimisation is worth
scaling.py                  scaling(): what a message costs as the book grows
ffi.py                      ffi_overhead(): what each way from Python into Rust costs
"""
