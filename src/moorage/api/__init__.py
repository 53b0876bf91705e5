"""The APIs. They translate requests and responses, and leave every decision to the layers below."""
