"""Pages that this package serves: what any of them needs (guard, serving), and the live one."""
