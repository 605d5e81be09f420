"""The special tokens of BPE tokenizers."""

ROLES = ("system", "user", "assistant")
END_OF_TURN = "end"
CHAT_TOKENS = {name: f"<|{name}|>" for name in (*ROLES, END_OF_TURN)}
"""Name -> special token of the dialogue format."""
END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, *CHAT_TOKENS.values())
"""Ids 0, 1, ... of every tokenizer trained here. Text that holds them literally is text."""
