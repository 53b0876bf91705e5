"""The rules and the state of the registry, one folder for each capability.

The folders have the same files:

- `types.py`: typed input and results. Input that is not valid cannot be constructed.
- `rules.py`: the rules, as functions of a connection and typed input. They check, change rows, and record events, so
  that one transaction can combine the rules of several capabilities. If there are many, they have a module each
  (`images/push.py`, `images/delete.py`, `images/read.py`).
- `service.py`: a class that opens the transaction for each rule and caches reads. The APIs call it.
- `validation.py`, if needed: checks that need no stored state.

`registry.py` has all services as one object. The statements are in `store/metadata`, by capability too.
"""
