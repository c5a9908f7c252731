"""Activities: what people did, when, for how long and how far; with photos.

Tags are an array in the row: a table of tags halves the speed of every export. Whoever wants a job
for each new activity of a person says so in `activity_followers`; what that job does is theirs.
"""
