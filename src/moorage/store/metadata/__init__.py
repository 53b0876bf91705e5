"""store/metadata"""
