"""store/metadata/migrations/versions"""
