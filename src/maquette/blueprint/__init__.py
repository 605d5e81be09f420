"""The blueprint: a spec with every number resolved."""
