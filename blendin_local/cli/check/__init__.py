"""`blendin check`: is this pair worth using?"""
