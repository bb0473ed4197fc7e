"""The books of one campus: chart of accounts, rules, posting engine and its stores."""
