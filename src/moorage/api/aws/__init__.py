"""What all AWS services share: signatures, request and response formats, errors, page tokens."""
