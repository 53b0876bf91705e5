"""The declarative file: identities, policies and repositories as one YAML document, applied or exported."""
