"""What is deleted when: for now the jobs that ended, with their events and errors.

The engine's own way reads all events of all jobs in one statement, seconds of it. Here the table
is walked in the order of ids, a bounded page a statement, and the walk ends at the first page that
is too young: ids ascend with time.
"""
