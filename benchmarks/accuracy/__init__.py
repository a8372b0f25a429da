"""How good are the scores on labelled series, by a scorer of others?"""
