"""The environment of a run: packages, processor, memory, threads.

`description` asks TensorFlow for devices and threads; `packages`, `processor` and `memory` do without it.
"""
