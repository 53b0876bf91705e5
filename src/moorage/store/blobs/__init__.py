"""Where blobs' bytes are kept: one narrow contract, and the stores that fulfil it."""
