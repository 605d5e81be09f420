"""Rehearsal and show of a training run: standard library only, so that it runs in WebAssembly."""
