"""api/sts"""
