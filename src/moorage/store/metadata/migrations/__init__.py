"""store/metadata/migrations"""
