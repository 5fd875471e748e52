"""How the embedded models were made: material, tokenizer, training texts, loop, export."""
