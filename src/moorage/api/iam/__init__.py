"""api/iam"""
