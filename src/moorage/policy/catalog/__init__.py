"""The catalog: actions, condition keys and services that policies can name."""
