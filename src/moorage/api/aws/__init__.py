"""api/aws"""
